#!/usr/bin/env python3
"""Times remap beside cp, PyTorch, tensorstore, libdeflate and Python's re, alternately in the same run.

  make bench
  tests/bench/bench.py --remap build/release/remap --tools build/release/tests --work /data/tmp [--work /dev/shm] [--case NAME]

Every case makes its own checkpoint in the work folder, reads it once (so that it lies in the page cache), runs each program --runs times in turn,
each into a fresh place after what the run before has written is removed and written back, and removes everything. What is compared with
is the first program of the case (remap runs with --no-sync, as cp does): `remap` is to need at most --goal times its time. Memory is taken from one further run of each: the largest
RssAnon that /proc shows (what the program itself holds), and its peak resident set (mapped files, which are page cache, count too).
PyTorch, safetensors and tensorstore run if the Python given by --python has them. --json writes all figures.
"""
import argparse
import collections
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent

# name: what is measured; make: arguments of make_checkpoint ("" for none); goal: of the time of the first program; python: the rival.
Case = collections.namedtuple("Case", "make remap goal python")
CASES = {
    "rename-1.4GB": Case("roberta 24", "", {"ext2/ext3": 0.6, "tmpfs": 0.85}, "rename"),
    "rename-4.5GB": Case("roberta 84", "", {"ext2/ext3": 0.6, "tmpfs": 0.85}, "rename"),
    "transpose": Case("matrices-f32 42", f"--rules {HERE}/rules/transpose.yaml", {"": 1.2}, "transpose"),
    "f16-to-f32": Case("matrices-f16 48", f"--rules {HERE}/rules/rename.yaml --set dtype=float32", {"": 1.2}, "float32"),
    "f32-to-bf16": Case("matrices-f32 42", f"--rules {HERE}/rules/rename.yaml --set dtype=bfloat16", {"": 1.2}, "bfloat16"),
    "small-tensors": Case("small 100000 2070", f"--rules {HERE}/rules/rename.yaml", {"": 1.2}, "rename"),
    "dcp-2GB": Case("dcp 4", f"--rules {HERE}/rules/torch.yaml", {"": 1.3}, "dcp"),
    "zero3-2GB": Case("zero3 4", f"--rules {HERE}/rules/torch.yaml", {"": 1.3}, "zero3"),
    "experts": Case("switch 64 4", "", {}, "switch"),
    "experts-gzip": Case("switch-gzip 32 4", "", {"": 1 / 0.9}, "switch"),
}
SUFFIX = {"roberta": ".pt", "matrices-f32": ".safetensors", "matrices-f16": ".safetensors", "small": ".safetensors", "sparse": ".safetensors"}
# --tiny: the numbers of each kind that take no time.
TINY = {"roberta": "1 64 256 300", "matrices-f32": "2 64 256", "matrices-f16": "2 64 256", "small": "100 20", "sparse": "1", "dcp": "4 2 64",
        "zero3": "4 2 64", "switch": "4 2 48 96", "switch-gzip": "4 2 48 96"}
SIZES_GB = [1, 2, 4, 8, 16, 32, 64]


def make_checkpoint(kind_and_numbers, path, options):
    kind, *numbers = kind_and_numbers.split()
    if options.tiny:
        numbers = TINY[kind].split()
    drop(path)
    subprocess.run([f"{options.tools}/make_checkpoint", kind, str(path), *numbers], check=True)


def drop(path):
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def settle(path):
    drop(path)
    os.sync()
    time.sleep(0.2)


def file_system(path):
    return subprocess.run(["stat", "-f", "-c", "%T", str(path)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def given_back():
    """What a virtual machine has given back to its host (free page reporting), where the kernel counts it; else a constant."""
    counter = pathlib.Path("/sys/module/page_reporting/parameters/reported_kib")
    return counter.read_text() if counter.exists() else ""


def timed(command, output, tries=8, at_once=False):
    """Seconds of the whole process, or those that it prints itself.

    Who first touches memory that was given back to the host waits for it, up to ten times as long as the copy takes. A run that may have
    had such memory takes it back, and is repeated, as long as that takes a few seconds.
    `at_once`: what the run before has freed is taken again, before the host has it."""
    end = time.perf_counter() + 20
    for _ in range(tries):
        before = given_back()
        drop(output) if at_once else settle(output)
        start = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        drop(output)
        if given_back() == before or time.perf_counter() > end:
            break
    try:
        return float(done.stdout)
    except ValueError:
        return seconds


def memory(command, output):
    """The largest RssAnon seen, and the peak resident set, in MiB."""
    settle(output)
    anonymous_kib = 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    status_file = pathlib.Path(f"/proc/{process.pid}/status")
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        try:
            for line in status_file.read_text().splitlines():
                if line.startswith("RssAnon:"):
                    anonymous_kib = max(anonymous_kib, int(line.split()[1]))
        except OSError:
            pass
        time.sleep(0.0005)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return anonymous_kib / 1024, usage.ru_maxrss / 1024


def has(python, *modules):
    return subprocess.run([python, "-c", "import " + ", ".join(modules)], stderr=subprocess.DEVNULL).returncode == 0


def report(figures, name, place, goal):
    """Prints one case; figures: program → seconds, anonymous, rss. Returns whether the goal is met."""
    first, *_ = figures
    base = statistics.median(figures[first]["seconds"])
    passed = True
    for program, one in figures.items():
        median = statistics.median(one["seconds"])
        one["ratio"] = median / base
        mark = ""
        if program == "remap" and goal:
            passed = one["ratio"] <= goal
            mark = f"{'<=' if passed else 'ABOVE'} {goal:.2f}"
        held = "{:8.1f} {:8.1f}".format(*one["memory_mib"]) if one["memory_mib"] else f"{'':17}"
        print(f"{name:14} {place:10} {program:24} {median:8.3f} ({min(one['seconds']):.3f} to {max(one['seconds']):.3f})  "
              f"{one['ratio']:5.2f} {mark:11} {held}", flush=True)
    return passed


def measure(programs, options, at_once=False):
    """programs: name → (command, output). The outputs are removed. `at_once`: no pause between runs, and none is repeated."""
    figures = {name: {"seconds": [], "memory_mib": None} for name in programs}
    at_once = at_once or options.tiny
    try:
        # What runs in Python takes gigabytes, which the host then takes back: it has its turns after the others.
        in_python = {name for name, (command, _) in programs.items() if command[0] in (options.python, sys.executable)}
        for turns in (programs.keys() - in_python, in_python):
            for run in range(0 if options.tiny else -1, options.runs):  # once for nothing
                for name, (command, output) in programs.items():
                    if name in turns:
                        seconds = timed(command, output, 1 if at_once else 8, at_once)
                        if run >= 0:
                            figures[name]["seconds"].append(seconds)
        for name, (command, output) in programs.items():
            figures[name]["memory_mib"] = memory(command, output)
            drop(output)
    finally:
        for _, output in programs.values():
            drop(output)
    return figures


def warm(path):
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    subprocess.run(["cat", *map(str, files)], check=True, stdout=subprocess.DEVNULL)


def convert(case, work, options):
    kind = case.make.split()[0]
    source, output = work / ("bench-source" + SUFFIX.get(kind, "")), work / "bench-out"
    copy, copied, other = work / "bench-whole", work / "bench-copy", work / "bench-other.safetensors"
    remap = [options.remap, "-q", "--no-sync", *case.remap.split(), *options.argument, str(source), "-o"]
    try:
        make_checkpoint(case.make, source, options)
        warm(source)
        # cp writes what remap writes: the output, which for casts is larger or smaller than the source.
        subprocess.run([*remap, str(copy)], check=True)
        programs = {"cp": (["cp", "-r", str(copy), str(copied)], copied)}
        if kind == "switch-gzip":
            chunks = sorted(str(file) for file in source.rglob("*") if file.is_file() and file.name[0] != "." and file.name != "checkpoint")
            programs = {"libdeflate, in memory": ([f"{options.tools}/inflate", str(os.cpu_count()), *chunks], copied), **programs}
        warm(copy)
        programs["remap"] = ([*remap, str(output)], output)
        if case is CASES["rename-1.4GB"]:  # what it costs that all of it is on the disk
            programs["cp, then sync"] = (["sh", "-c", f"cp -r {copy} {copied} && sync {copied}/* {copied}"], copied)
            programs["remap, synced"] = ([argument for argument in remap if argument != "--no-sync"] + [str(output)], output)
        rival = [options.python, str(HERE / "rivals.py"), case.python, str(source), str(other)]
        if case.python == "switch" and has(options.python, "tensorstore", "safetensors"):
            programs["tensorstore + save_file"] = (rival, other)
        elif case.python == "dcp" and has(options.python, "torch"):
            programs["dcp_to_torch_save"] = (rival, other)
        elif case.python != "switch" and has(options.python, "torch", "safetensors"):
            programs["PyTorch + save_file"] = (rival, other)
        if case.python == "zero3" and has(options.python, "deepspeed", "safetensors"):
            programs["DeepSpeed's zero_to_fp32"] = ([*rival[:2], "zero_to_fp32", str(source), str(other.with_suffix(""))], other.with_suffix(""))
        return measure(programs, options)
    finally:
        for path in (source, copy):
            drop(path)


def manifest(layers):
    """A folded manifest of a RoBERTa in fairseq's layout; 16 tensors a layer."""
    tensors = {}
    hidden, ffn, vocab = 8, 16, 20

    def add(name, *shape):
        tensors["model.encoder." + name] = {"dtype": "F32", "shape": list(shape)}

    def linear(name, n_out, n_in):
        add(name + ".weight", n_out, n_in)
        add(name + ".bias", n_out)

    def norm(name):
        add(name + ".weight", hidden)
        add(name + ".bias", hidden)

    add("sentence_encoder.embed_tokens.weight", vocab, hidden)
    add("sentence_encoder.embed_positions.weight", 10, hidden)
    norm("sentence_encoder.layernorm_embedding")
    layer = f"sentence_encoder.layers.{{0..{layers - 1}}}."
    for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
        linear(layer + "self_attn." + projection, hidden, hidden)
    linear(layer + "fc1", ffn, hidden)
    linear(layer + "fc2", hidden, ffn)
    norm(layer + "self_attn_layer_norm")
    norm(layer + "final_layer_norm")
    linear("lm_head.dense", hidden, hidden)
    norm("lm_head.layer_norm")
    add("lm_head.weight", vocab, hidden)
    add("lm_head.bias", vocab)
    args = {"arch": "roberta_base", "task": "masked_lm", "criterion": "masked_lm", "max_positions": 8, "encoder_layers": layers,
            "encoder_embed_dim": hidden, "encoder_ffn_embed_dim": ffn, "encoder_attention_heads": 2, "dropout": 0.1,
            "attention_dropout": 0.1, "activation_fn": "gelu", "pooler_activation_fn": "tanh", "activation_dropout": 0.0, "pooler_dropout": 0.0}
    return {"remap_manifest": 1, "folded": True, "format": "torch", "metadata": {"args": args}, "tensors": tensors}


def plan(layers, work, options):
    """For Python only the loop over keys and compiled patterns counts, for remap the whole process."""
    path = work / "bench-manifest.json"
    nothing = work / "bench-nothing"
    try:
        path.write_text(json.dumps(manifest(layers)))
        return measure({"re.sub, 30 patterns": ([sys.executable, str(HERE / "rivals.py"), "names", str(path)], nothing),
                        "remap plan": ([options.remap, "plan", "--rules", "roberta", str(path)], nothing)}, options)
    finally:
        drop(path)


def read_both(work, options):
    """Commands that read a checkpoint and its converted form, at 1.4 GB each."""
    source, output, nothing = work / "bench-source.pt", work / "bench-out", work / "bench-nothing"
    try:
        make_checkpoint("roberta 24", source, options)
        subprocess.run([options.remap, "-q", str(source), "-o", str(output)], check=True)
        warm(source), warm(output)
        both = [str(source), "--target", str(output)]
        shutil.copytree(output, work / "bench-copy")
        return measure({"cmp of the output": (["cmp", str(output / "model.safetensors"), str(work / "bench-copy/model.safetensors")], nothing),
                        "remap compare": ([options.remap, "compare", str(output), str(work / "bench-copy")], nothing),
                        "remap infer": ([options.remap, "infer", *both, "-o", str(nothing)], nothing)}, options)
    finally:
        for path in (source, output, work / "bench-copy"):
            drop(path)


def sizes(work, options):
    """A rename of 1 to 64 GB, as far as there is room; the sources have no data, only a length. The ratio is to cp of the same bytes.

    With --argument=--clone, on a file system that can, nothing is copied: cp clones too."""
    source, output = work / "bench-source.safetensors", work / "bench-out"
    figures = {}
    for n_gb in SIZES_GB if not options.tiny else []:
        if n_gb > options.gb:
            break
        clones = "--clone" in options.argument
        if shutil.disk_usage(work).free < 1.1e9 * n_gb and not clones:
            break
        try:
            make_checkpoint(f"sparse {n_gb}", source, options)
            cp = ["cp", "--reflink=always" if clones else "--sparse=never", str(source), str(output)]
            remap = [options.remap, "-q", "--no-sync", "--rules", f"{HERE}/rules/rename.yaml", *options.argument, str(source), "-o", str(output)]
            figures |= measure({f"cp, {n_gb} GB": (cp, output), f"remap, {n_gb} GB": (remap, output)}, options, True)
        finally:
            drop(source)
    return figures


def threads(work, options):
    """A transpose of every matrix, with 1 to 2 threads a core."""
    source, output = work / "bench-source.safetensors", work / "bench-out"
    try:
        make_checkpoint("matrices-f32 42", source, options)
        warm(source)
        command = [options.remap, "-q", "--no-sync", "--rules", f"{HERE}/rules/transpose.yaml", str(source), "-o", str(output), "--threads"]
        counts = [1 << i for i in range((2 * os.cpu_count()).bit_length())]
        return measure({f"remap, {n} thread{'s' if n > 1 else ''}": ([*command, str(n)], output) for n in counts}, options)
    finally:
        drop(source)


FURTHER = {"sizes": sizes, "threads": threads, "plan-million": lambda work, options: plan(10 if options.tiny else 62500, work, options), "read-both": read_both}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remap", required=True, help="the program; build it with optimisation")
    parser.add_argument("--tools", required=True, help="the folder of make_checkpoint and inflate")
    parser.add_argument("--work", required=True, action="append", help="an existing folder with 16 GB free; may be repeated: every case in each")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch, safetensors and tensorstore (default: this one)")
    parser.add_argument("--argument", action="append", default=[], help="a further argument for remap; may be repeated")
    parser.add_argument("--gb", type=int, default=SIZES_GB[-1], help="the largest of the case 'sizes'")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--case", choices=[*CASES, *FURTHER], action="append", help="only this one; may be repeated")
    parser.add_argument("--tiny", action="store_true", help="with checkpoints of a few kilobytes, to see that every case runs; no aims")
    parser.add_argument("--json", help="write all figures to this file")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}; medians of {options.runs} runs (fastest to slowest)\n")
    print(f"{'case':14} {'on':10} {'program':24}  seconds                    ratio             anon MiB  RSS MiB")
    results, passed = [], True
    for name in options.case or [*CASES, *FURTHER]:
        for folder in map(pathlib.Path, options.work):
            place = file_system(folder)
            if name in FURTHER:
                figures, goal = FURTHER[name](folder, options), 0
            else:
                figures = convert(CASES[name], folder, options)
                goal = CASES[name].goal.get(place, CASES[name].goal.get("", 0))
            if figures:
                passed &= report(figures, name, place.replace("ext2/ext3", "ext4"), 0 if options.tiny else goal)
            results.append({"case": name, "file_system": place, "programs": figures, "goal": goal})
            if options.json:
                pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
