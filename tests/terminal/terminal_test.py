#!/usr/bin/env python3
"""What only a terminal gets, on a pseudo-terminal: colours, the pager, and what a long command is doing.

    terminal_test.py REMAP"""

import errno
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "tests", "data")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import checks  # noqa: E402
from checks import check  # noqa: E402
ROBERTA = os.path.join(DATA, "roberta", "source", "model.2019.pt")
SWITCH = os.path.join(DATA, "switch", "source", "checkpoint_1200")
RED, GREEN, YELLOW, BLUE, CLEAR = "\033[31m", "\033[32m", "\033[33m", "\033[34m", "\r\033[K"


class Done:
    def __init__(self, code, shown, out, err):
        self.code, self.shown, self.out, self.err = code, shown, out, err


def run(*words, terminal="in out err", rows=24, env=None, cwd=None):
    """Runs a command with the streams that `terminal` names on a pseudo-terminal of so many rows; what that shows, and what the
    other streams got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST  # line ends as they are written
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PAGER", "LESS", "REMAP_RULES_DIR")}
    environment.update({"TERM": "xterm"}, **(env or {}))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = {"stdin": theirs if "in" in terminal.split() else subprocess.DEVNULL,
                   "stdout": theirs if "out" in terminal.split() else out,
                   "stderr": theirs if "err" in terminal.split() else err}
        process = subprocess.Popen(words, env=environment, cwd=cwd, start_new_session=True, **streams)
        os.close(theirs)
        shown = b""
        while True:
            try:
                some = os.read(ours, 1 << 16)
            except OSError as error:  # Linux: nobody has the other end any more
                if error.errno != errno.EIO:
                    raise
                break
            if not some:
                break
            shown += some
        os.close(ours)
        code = process.wait()
        out.seek(0), err.seek(0)
        return Done(code, shown.decode(), out.read().decode(), err.read().decode())


def script(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


TOY = """remap: 1
family: toy
source: {format: torch, root: ""}
let: {unused: 1}
rules:
  - {from: "layers.*.w", to: "layer.*.weight"}
target: {model_type: toy, architecture: ToyModel}
"""


def colours(remap, folder):
    plan = [remap, "plan", SWITCH]
    check(BLUE in run(*plan, rows=500).shown, "a plan on a terminal is coloured")
    check(BLUE in run(*plan, rows=500, env={"NO_COLOR": ""}).shown, "an empty NO_COLOR says nothing")
    for what, options in {"NO_COLOR": {"env": {"NO_COLOR": "1"}}, "a dumb terminal": {"env": {"TERM": "dumb"}},
                          "a file": {"terminal": "in err"}}.items():
        done = run(*plan, rows=500, **options)
        check("\033[" not in (done.shown + done.out).replace(CLEAR, ""), f"no colours: {what}")
        check("SelfAttention" in done.shown + done.out, f"the plan is there: {what}")

    toy = write(os.path.join(folder, "toy.yaml"), TOY)
    other = write(os.path.join(folder, "other.yaml"), TOY.replace("layer.*.weight", "layer.*.w"))
    keys = write(os.path.join(folder, "keys.tsv"), "layers.0.w F32 [2]\nlayers.1.w F32 [2]\n")
    found = run(remap, "diff", toy, other, "--source", keys)
    check(RED in found.shown and GREEN in found.shown, "what goes is red, what comes is green")
    found = run(remap, "lint", toy, "--diff", terminal="in out")
    check(RED + "-let" in found.shown and "\033[" not in found.err, "a patch has colours, a file of messages has none")
    missing = write(os.path.join(folder, "missing.tsv"), "layers.0.w F32 [2]\nx F32 [1]\n")
    said = run(remap, "plan", "--rules", toy, missing, terminal="err")
    check(RED + "error[plan-unmatched-key]" in said.shown, f"an error is red: {said.shown!r}")
    said = run(remap, "plan", "--rules", toy, missing, terminal="err", env={"NO_COLOR": "1"})
    check("error[plan-unmatched-key]" in said.shown and RED not in said.shown, "NO_COLOR is for messages too")
    said = run(remap, "plan", "--rules", toy, missing, terminal="err", env={"TERM": "dumb"})
    check("\033" not in said.shown, "a dumb terminal gets no sequences at all")


def pager(remap, folder):
    plan = [remap, "plan", SWITCH]
    tools = os.path.join(folder, "tools")  # a PATH with a shell, and no pager
    os.mkdir(tools)
    for tool in ("sh", "cat", "env", "head"):
        os.symlink(shutil.which(tool), os.path.join(tools, tool))
    kept = os.path.join(folder, "paged")
    keeper = script(os.path.join(folder, "keep"), f'echo paged; cat > "{kept}"\n')

    def paged(*words, **options):
        if os.path.exists(kept):
            os.remove(kept)
        done = run(*words, **options)
        done.paged = open(kept, encoding="utf-8").read() if os.path.exists(kept) else None
        return done

    done = paged(*plan, env={"PAGER": keeper})
    check(done.code == 0 and done.paged is not None and "SelfAttention" in done.paged and "SelfAttention" not in done.shown,
          "a long plan goes to $PAGER")
    check(BLUE in done.paged, "with its colours")
    check(paged(*plan, env={"PAGER": keeper, "NO_COLOR": "1"}).paged.count("\033") == 0, "or without")
    check(paged(*plan, env={"PAGER": f"{keeper} -x 'y z'"}).paged is not None, "$PAGER may have options")
    for what, options in {"it fits the screen": {"rows": 500}, "standard output is a file": {"terminal": "in err"},
                          "nobody can type": {"terminal": "out err"}, "the terminal is dumb": {"env": {"TERM": "dumb"}},
                          "PAGER=cat": {"env": {"PAGER": "cat"}}, "there is none of that name": {"env": {"PAGER": "no-such-pager"}}}.items():
        options["env"] = {"PAGER": keeper, **options.get("env", {})}
        done = paged(*plan, **options)
        check(done.paged is None and "SelfAttention" in done.shown + done.out and done.code == 0, f"no pager: {what}")
    for name, code in {"json": 0, "markdown": 0, "html": 0}.items():
        check(paged(*plan, "--format", name, env={"PAGER": keeper}).paged is None, f"no pager for {name}")

    done = paged(*plan, env={"PATH": tools})
    check("SelfAttention" in done.shown and done.code == 0, f"without less the plan is printed: {done.shown[:300]!r}")
    script(os.path.join(tools, "less"), f'echo "$LESS" > "{kept}"; cat >> "{kept}"\n')
    done = paged(*plan, env={"PATH": tools})
    check(done.paged is not None and done.paged.startswith("FRX\n") and "SelfAttention" in done.paged, "less is told to show colours")
    done = paged(*plan, env={"PATH": tools, "PAGER": "", "LESS": "-S"})
    check(done.paged is not None and done.paged.startswith("-S\n"), "an empty PAGER is none; LESS is the user's")
    done = run(remap, "plan", "--full", SWITCH, env={"PAGER": "head -n 1"})
    check(done.code == 0 and done.shown.count("\n") <= 2, "whoever leaves the pager has seen enough")


def bar_in(shown):
    return "%  " in shown and "[" in shown and shown.rstrip().find(CLEAR) >= 0


def progress(remap, folder):
    out, again = os.path.join(folder, "out"), os.path.join(folder, "again")
    done = run(remap, ROBERTA, "-o", out, "--provenance", terminal="err")
    check(done.code == 0 and bar_in(done.shown) and " in " in done.shown, f"converting shows a bar: {done.shown!r}")
    run(remap, ROBERTA, "-o", again)
    for words, code in {("compare", out, again): 0, ("compare", "--checksums", out): 0, ("verify", ROBERTA, "--target", out): 0,
                        ("infer", ROBERTA, "--target", out): 0}.items():
        done = run(remap, *words, terminal="err")
        check(done.code == code and bar_in(done.shown), f"{words[:2]} shows a bar: {done.shown!r}")
        check("\033" not in done.out and done.out != "", f"{words[:2]} keeps it out of its result")
        for where in ("in", "out"):
            done = run(remap, *words, terminal=where)
            check("\r" not in done.shown + done.out + done.err, f"{words[:2]} shows none where standard error is not a terminal")
        check("\r" not in run(remap, *words, terminal="err", env={"TERM": "dumb"}).shown, f"{words[:2]} shows none on a dumb terminal")
    done = run(remap, "verify", ROBERTA, "--target", out, "-q", terminal="err")
    check(done.shown == "", f"-q shows nothing: {done.shown!r}")
    done = run(remap, "verify", ROBERTA, "--target", out, terminal="out err")
    last = done.shown.rfind(CLEAR)
    check("%" not in done.shown[last + len(CLEAR):].split("\n")[0] and "max_absolute_diff" in done.shown[last:],
          "the bar is gone before the result")

    # What has no bytes to count says what it does, and since when; as many keys as it needs for that.
    keys, rules, n = os.path.join(folder, "many.tsv"), write(os.path.join(folder, "many.yaml"), TOY), 200_000
    while True:
        with open(keys, "w", encoding="utf-8") as file:
            file.writelines(f"layers.{i}.w F32 [2]\n" for i in range(n))
        began = time.monotonic()
        done = run(remap, "plan", "--rules", rules, keys, terminal="err")
        seen = re.search(r"opening and planning … [1-9]\d* s", done.shown)
        if seen or done.code != 0 or n > 5_000_000 or time.monotonic() - began > 30:
            break
        n *= 2
    check(seen and done.shown.endswith(CLEAR), f"planning {n} keys shows its time: {done.shown!r}")
    quick = run(remap, "plan", "--rules", rules, keys, terminal="none")
    check(quick.code == 0 and quick.err == "", f"a plan of {n} keys: {quick.err[:300]!r}")
    check(done.out == quick.out, "and its result is the same")
    done = run(remap, "inspect", keys, "--format", "manifest", terminal="none")
    check(done.out.count("\n") == n, "inspect prints them all")


def main():
    remap = os.path.realpath(sys.argv[1])
    for part in (colours, pager, progress):
        with tempfile.TemporaryDirectory() as folder:
            part(remap, folder)
    print(f"{checks.N_CHECKS} checks, {len(checks.FAULTS)} faults")
    return 1 if checks.FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
