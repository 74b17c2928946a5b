#!/usr/bin/env python3
"""Kills remap, fills its disk, fails its reads and writes, changes its sources while it reads them; and looks at what is left.

    tests/faults/faults.py --remap build/release/remap --shim build/release/tests/libfault_shim.so

After every fault the output must be right (byte for byte what an undisturbed run writes), absent, or marked (a hidden folder beside it)
and resumable: a run with --resume then gives the right bytes and leaves nothing beside them. Prints a table; exit code 1 if one was not.
Needs Python 3.9 and nothing else. As root, with mount(8), disks are filled on a tmpfs of random size; else by RLIMIT_FSIZE. --quick takes some seconds.
"""
import argparse
import errno
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RULES = """remap: 1
family: faults
title: a source of its own
source: {format: safetensors}
target: {architecture: FaultsModel}
rules:
  - {from: "layers.*.w", to: "model.*.weight", shape: [rows, columns]}
  - {from: "layers.*.t", to: "model.*.turned", shape: [rows, columns], transpose: true}
"""


def write_source(path, layers, rows, seed):
    """A safetensors file of 2 * layers matrices of rows x 1024 float32."""
    header, offset = {}, 0
    for i in range(layers):
        for name in "wt":
            header[f"layers.{i}.{name}"] = {"dtype": "F32", "shape": [rows, 1024], "data_offsets": [offset, offset + rows * 4096]}
            offset += rows * 4096
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    noise = random.Random(seed).randbytes(1 << 20)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while offset > 0:
            file.write(struct.pack("<Q", offset) + noise[8:min(offset, 1 << 20)])
            offset -= 1 << 20


def digest(folder):
    return {p.name: hashlib.blake2b(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


class Faults:
    def __init__(self, options, folder):
        self.remap, self.shim, self.folder = options.remap, options.shim, folder
        self.random = random.Random(options.seed)
        self.rows = []
        (folder / "rules.yaml").write_text(RULES)
        self.source = folder / "source.safetensors"
        write_source(self.source, 6, 256 if options.quick else 4096, 1)
        self.out = folder / "place" / "out"
        self.out.parent.mkdir()
        self.seconds = 1e9  # that an undisturbed run takes
        for _ in range(5):
            self.clear()
            begin = time.monotonic()
            code, said = self.run()
            self.seconds = min(self.seconds, time.monotonic() - begin)
            if code != 0:
                raise SystemExit("an undisturbed run fails: " + said)
        self.right = digest(self.out)
        sizes = [p.stat().st_size for p in self.out.iterdir()]
        self.bytes, self.largest = sum(sizes), max(sizes)
        self.clear()

    def command(self, *more, source=None, out=None):
        size = [] if "--max-shard-size" in more else ["--max-shard-size", "12MB"]
        return [self.remap, "--rules", str(self.folder / "rules.yaml"), str(source or self.source), "-o", str(out or self.out), *size, *more]

    def start(self, *more, **how):
        return self.start_command(self.command(*more, **{key: how.pop(key) for key in ("source", "out") if key in how}), **how)

    def start_command(self, command, fault=None, limit=None, calls=None):
        environment = dict(os.environ)
        if fault:
            environment.update(LD_PRELOAD=self.shim, REMAP_FAULT=fault)
        if calls:
            environment.update(LD_PRELOAD=self.shim, REMAP_CALLS=str(calls))

        def prepare():
            for number in (signal.SIGINT, signal.SIGHUP):  # ignored below nohup, and by what a shell starts in the background
                signal.signal(number, signal.SIG_DFL)
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True, preexec_fn=prepare)

    def run(self, *more, **how):
        process = self.start(*more, **how)
        said = process.communicate()[1]
        return process.returncode, said

    def hidden(self):
        return [p for p in self.out.parent.iterdir() if p.name.startswith(".")]

    def clear(self):
        for path in self.out.parent.iterdir():
            shutil.rmtree(path)

    def state(self):
        """right, marked, absent or WRONG: what is at the output's name, and beside it."""
        if self.out.exists():
            return "right" if digest(self.out) == self.right and not self.hidden() else "right and marked" if digest(self.out) == self.right else "WRONG"
        return "marked" if self.hidden() else "absent"

    def resumed(self, state):
        """The state, with what --resume then made of it; and what is wrong."""
        code, said = self.run("--resume", "--force")
        if code != 0 or digest(self.out) != self.right or self.hidden():
            return state, f"{code}: {said}"
        return state + (", gone on with" if "output-resumed" in said else ""), None

    def pause(self, process, share):
        """Waits until it has written a part of the output, at most this; above 1, a moment longer. The machine may be busy."""
        part = self.random.uniform(0, share)
        while not self.hidden() and process.poll() is None:
            time.sleep(0.0002)
        io = Path(f"/proc/{process.pid}/io")
        if not io.exists():  # a kernel that does not count
            time.sleep(part * self.seconds)
            return
        try:
            while process.poll() is None and int(io.read_text().split()[3]) < min(part, 1) * self.bytes:
                time.sleep(0.0002)
        except PermissionError:
            time.sleep(part * self.seconds)
            return
        except OSError:  # it has just ended
            return
        time.sleep(max(0, part - 1) * self.seconds)

    def count(self, fault, runs, once):
        """once(i): None, or what is wrong; notes the states seen."""
        seen, wrong = {}, []
        for i in range(runs):
            self.clear()
            try:
                state, fault_found = once(i)
            except Exception as error:  # noqa: BLE001: one more thing that is wrong
                state, fault_found = "WRONG", repr(error)
            seen[state] = seen.get(state, 0) + 1
            if fault_found or "WRONG" in state:
                wrong.append(f"run {i}: {state}: {fault_found}")
        self.clear()
        self.rows.append((fault, runs, ", ".join(f"{n} {state}" for state, n in sorted(seen.items())), wrong))
        print(f"{fault:46} {runs:5}  {self.rows[-1][2]}{'' if not wrong else '  ' + wrong[0]}", flush=True)

    # ---- kills

    def kill(self, number, again):
        def once(i):
            for _ in range(1 + (i % 3 if again else 0)):
                process = self.start(*(["--resume", "--force"] if again or i % 2 else []))
                if i % 4:
                    self.pause(process, 1.1)
                else:
                    time.sleep(self.random.uniform(0, 1.1 * self.seconds))
                process.send_signal(number)
                process.communicate()
            state = self.state()
            if number != signal.SIGKILL and "marked" in state and not (again or i % 2):
                return state, "left something behind"
            return self.resumed(state)
        return once

    def kill_over_old(self, i):
        """What was there before stays until the new one is whole."""
        self.out.mkdir()
        (self.out / "old").write_text("old")
        process = self.start("--force")
        self.pause(process, 1.1)
        process.kill()
        process.communicate()
        old = digest(self.out) == {"old": hashlib.blake2b(b"old").hexdigest()} if self.out.exists() else False
        state = "old" if old else self.state()
        if state in ("absent", "marked"):
            return state, "neither the old nor the new output is there"
        return self.resumed(state)

    def kill_then_plain(self, i):
        """A run without --resume removes what was left, and says so."""
        process = self.start("--resume")
        self.pause(process, 0.9)
        process.kill()
        process.communicate()
        state, left = self.state(), bool(self.hidden())
        code, said = self.run("--force")
        right = code == 0 and digest(self.out) == self.right and not self.hidden() and (not left or "output-leftover" in said)
        return state, None if right else f"{code}: {said}"

    # ---- parts

    N_PARTS = 3

    def write_parts(self, source, more=()):
        for k in range(1, self.N_PARTS + 1):
            code, said = self.run("--max-shard-size", "40kB", "--shard", f"{k}/{self.N_PARTS}", *more, source=source)
            if code != 0:
                raise RuntimeError(said)

    def finish(self, fault=None):
        process = self.start_command([self.remap, "finish", str(self.out)], fault=fault)
        said = process.communicate()[1]
        return process.returncode, said

    def finish_killed(self, rewritten):
        """Killed where the Nth change of a folder or file would be made, then called again; or the parts are written again before."""
        sources = [self.folder / f"small-{seed}.safetensors" for seed in (2, 3)]
        alone = []
        for seed, source in zip((2, 3), sources):
            write_source(source, 6, 4, seed)
            code, said = self.run("--max-shard-size", "40kB", source=source)
            if code != 0:
                raise SystemExit(said)
            alone.append(digest(self.out))
            self.clear()

        def once(i):
            self.write_parts(sources[0])
            code, _ = self.finish(f"names:kill:{i + 1}")
            is_there = self.out.exists()
            state = "joined" if is_there else "in parts"
            if is_there and digest(self.out) != alone[0]:
                return "WRONG", None
            if code == 0:
                return "joined undisturbed", None
            if rewritten and not is_there:
                self.write_parts(sources[1], ["--force"])
            code, said = self.finish()
            right = code == 0 and digest(self.out) == alone[rewritten and not is_there] and os.listdir(self.out.parent) == [self.out.name]
            return state, None if right else f"{code}: {said}"
        return once

    # ---- storage

    def expects(self, fault, ids, resumable=False):
        """The shim's fault ends in one of these errors and nothing left, or does no harm."""
        def once(i):
            code, said = self.run(fault=fault(i))
            state = self.state()
            if code == 0:
                return "right", None if state == "right" else "exit 0, and " + state
            known = any(f"error[{name}]" in said for name in ids)
            return state, None if state == "absent" and code == 2 and known else f"{code}: {said}"
        return once

    def full_disk(self, i):
        size = self.random.randrange(4096 * 8, int(self.bytes * 1.05))
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk]
        if shutil.which("mount") is None or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:  # not everybody may
            code, said = self.run(limit=self.random.randrange(1, self.largest))
            return self.state(), None if code == 2 and "output-disk-full" in said and self.state() == "absent" else said
        try:
            # Space may be there when the run begins, and gone when it writes.
            filler = disk / "filler"
            more = self.random.random() < 0.5
            process = self.start(out=disk / "out")
            if more:
                time.sleep(self.random.uniform(0, self.seconds))
                try:
                    filler.write_bytes(b"x" * size)
                except OSError:
                    pass
            said = process.communicate()[1]
            left = [p for p in disk.iterdir() if p != filler]
            if process.returncode == 0:
                return "right", None if digest(disk / "out") == self.right and len(left) == 1 else "exit 0, and it is not right"
            fine = process.returncode == 2 and "output-disk-full" in said and not left
            return "absent" if not left else "left", None if fine else said
        finally:
            subprocess.run(["umount", disk], check=True)

    # ---- sources

    def change(self, how):
        def once(i):
            source = self.folder / "changing.safetensors"
            source.unlink(missing_ok=True)  # it may be a second name of the right one
            shutil.copyfile(self.source, source)
            os.utime(source, (1, 1))
            process = self.start(source=source)
            self.pause(process, 0.4)
            ended = self.out.exists() or process.poll() is not None
            how(source)
            said = process.communicate()[1]
            state = self.state()
            if process.returncode == 0:
                return "right (it had ended)", None if state == "right" else "exit 0, and " + state
            named = str(source) in said and ("error[io-truncated]" in said or "error[io-changed]" in said)
            if process.returncode != 2 or state != "absent" or not named:
                return state, f"{process.returncode}: {said} {ended}"
            return "absent", None
        return once

    def synced(self, replaces):
        """On the disk are the output's files, then their folder, before it gets its name; then the name."""
        def once(_):
            self.clear()
            calls = self.folder / "calls"
            calls.unlink(missing_ok=True)
            if replaces:
                self.out.mkdir()
            code, said = self.run(*(["--force"] if replaces else []), calls=calls)
            lines = [line.split(" ", 1) for line in calls.read_text().splitlines()]
            named = max((i for i, line in enumerate(lines) if line == ["rename", str(self.out)]), default=None)
            if code != 0 or named is None:
                return self.state(), f"{code}: {said}"
            wrong = []
            written = {path for call, path in lines[:named] if call == "write" and Path(path).name in self.right}
            if {Path(path).name for path in written} != set(self.right):
                wrong.append(f"written were {sorted(written)}")
            folders = {str(Path(path).parent) for path in written}
            last = {}
            for path in written | folders:
                is_write = [i for i, line in enumerate(lines) if line == ["write", path]]
                is_sync = [i for i, line in enumerate(lines) if line == ["fsync", path] and i < named]
                last[path] = is_sync[-1] if is_sync else None
                if not is_sync or (is_write and is_write[-1] > is_sync[-1]):
                    wrong.append(f"'{path}' is not synced before it has its name")
            if not wrong and any(last[str(Path(path).parent)] < last[path] for path in written):
                wrong.append("the folder is synced before its files")
            if ["fsync", str(self.out.parent)] not in lines[named:]:
                wrong.append("the folder that holds the output is not synced")
            return self.state(), "; ".join(wrong) or None
        return once

    def all(self, n):
        self.count("kill -9 at a random time, then --resume", n(120), self.kill(signal.SIGKILL, False))
        self.count("kill -9 again and again, then --resume", n(80), self.kill(signal.SIGKILL, True))
        self.count("kill -9 over an existing output (--force)", n(40), self.kill_over_old)
        self.count("kill -9, then a run without --resume", n(20), self.kill_then_plain)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.count(f"{number.name}, then --resume", n(20), self.kill(number, False))
        self.count("the order of writing, syncing and naming", 2, self.synced(False))
        self.count("the same over an existing output", 2, self.synced(True))
        self.count("finish killed at a change, called again", 30, self.finish_killed(False))
        self.count("finish killed, the parts written again", 30, self.finish_killed(True))
        self.count("a full disk", n(50), self.full_disk)
        calls = lambda call, code: lambda i: f"{call}:{code}:{self.random.randrange(1, 30)}"  # noqa: E731
        writes = ["io-write", "output-disk-full"]
        self.count("pwrite: no space left (ENOSPC)", n(10), self.expects(calls("pwrite", errno.ENOSPC), writes))
        self.count("pwrite: input/output error (EIO)", n(10), self.expects(calls("pwrite", errno.EIO), writes))
        self.count("pwrite: comes short", n(5), self.expects(lambda i: f"pwrite:short:{i + 1}", []))
        self.count("write (journal, config.json): EIO", n(10), self.expects(lambda i: f"write:{errno.EIO}:{i + 1}", writes))
        self.count("fallocate: no space left", n(5), self.expects(lambda i: f"fallocate:{errno.ENOSPC}:{i + 1}", writes))
        self.count("fallocate: not supported", n(2), self.expects(lambda i: f"fallocate:{errno.EOPNOTSUPP}:-1", writes))
        self.count("fsync: input/output error", n(10), self.expects(lambda i: f"fsync:{errno.EIO}:{i + 1}", writes))
        self.count("rename: input/output error", n(2), self.expects(lambda i: f"rename:{errno.EIO}:1", writes))
        self.count("rename: no flags known (EINVAL)", n(2), self.expects(lambda i: f"rename:{errno.EINVAL}:1", writes))
        self.count("pread: input/output error", n(10), self.expects(calls("pread", errno.EIO), ["io-read"]))
        self.count("pread: comes short", n(5), self.expects(lambda i: f"pread:short:{i + 1}", []))
        self.count("a mapped page that cannot be read", n(5), self.expects(lambda i: f"mmap:5:{i + 1}", ["io-read"]))
        self.count("source truncated while read", n(20), self.change(lambda p: os.truncate(p, self.random.randrange(1000000))))
        self.count("source written to while read", n(20), self.change(lambda p: p.open("r+b").write(b"\0" * 8)))
        self.count("source appended to while read", n(10), self.change(lambda p: p.open("ab").write(b"x")))
        self.count("source replaced while read", n(10), self.change(lambda p: (os.link(self.source, str(p) + ".new"),
                                                                           os.rename(str(p) + ".new", p))))
        self.count("source removed while read", n(10), self.change(lambda p: p.unlink()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remap", required=True)
    parser.add_argument("--shim", required=True, help="libfault_shim.so")
    parser.add_argument("--folder", help="where to work (default: a temporary folder)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs, of a small source")
    options = parser.parse_args()
    options.remap, options.shim = os.path.abspath(options.remap), os.path.abspath(options.shim)
    with tempfile.TemporaryDirectory(prefix="remap-faults-", dir=options.folder) as name:
        faults = Faults(options, Path(name).resolve())
        begin = time.monotonic()
        print(f"{faults.bytes / 1e6:.0f} MB written in {faults.seconds:.2f} s undisturbed; seed {options.seed}\n")
        print(f"{'fault':46} {'runs':>5}  found afterwards")
        faults.all(lambda runs: max(1, runs // 20) if options.quick else runs)
    wrong = [(row[0], text) for row in faults.rows for text in row[3]]
    print(f"\n{sum(row[1] for row in faults.rows)} runs in {time.monotonic() - begin:.0f} s, {len(wrong)} wrong")
    for fault, text in wrong:
        print(f"{fault}: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
