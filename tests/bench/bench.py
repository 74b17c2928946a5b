#!/usr/bin/env python3
"""Times `remap CHECKPOINT -o OUT` against `cp` of the same file, alternately, and samples its anonymous memory.

  make bench
  tests/bench/bench.py --remap build/release/remap --make build/release/tests/make_torch_zip --work /data/tmp

Two checkpoints shaped like RoBERTa are made in the work folder (1.4 GB, and one above 4 GiB) and removed at the end. Every run writes
to a fresh place, after outputs of the run before are removed and written back, so that neither program pays for the other; with --sync
writing back is part of the time of both. Anonymous memory is sampled in a run of its own: looking costs time. Only the standard library.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

GOAL_RATIO = 1.3
GOAL_ANONYMOUS_MIB = 256
CASES = {"1.4 GB": ["24"], "4.5 GB": ["84"]}  # layers


def drop(path):
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def settle(path):
    drop(path)
    os.sync()
    time.sleep(0.2)


def timed(command, output, sync):
    settle(output)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if sync:
        os.sync()
    return time.perf_counter() - start


def peak_anonymous_mib(command, output):
    """The largest RssAnon seen in /proc; VmHWM would count mapped files, which are page cache."""
    settle(output)
    peak_kib = 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                peak_kib = max(peak_kib, int(line.split()[1]))
        time.sleep(0.0005)
    if process.wait() != 0:
        sys.exit(f"{command[0]} failed")
    return peak_kib / 1024


def measure(name, options, layers):
    work = pathlib.Path(options.work)
    checkpoint, copy, output = work / "bench.pt", work / "bench-copy.pt", work / "bench-out"
    commands = {
        "cp": (["cp", str(checkpoint), str(copy)], copy),
        "remap": ([options.remap, "-q", *options.argument, str(checkpoint), "-o", str(output)], output),
    }
    try:
        subprocess.run([options.make, str(checkpoint), *layers], check=True)
        subprocess.run(["cat", str(checkpoint)], check=True, stdout=subprocess.DEVNULL)  # into the page cache
        seconds = {program: [] for program in commands}
        for _ in range(options.runs):
            for program, (command, place) in commands.items():
                seconds[program].append(timed(command, place, options.sync))
                drop(place)
        anonymous = peak_anonymous_mib(*commands["remap"])
    finally:
        for path in (checkpoint, copy, output):
            drop(path)
    median = {program: statistics.median(values) for program, values in seconds.items()}
    ratio = median["remap"] / median["cp"]
    for program, values in seconds.items():
        print(f"{name}  {program:5}  median {median[program]:7.3f} s  ({' '.join(f'{value:.3f}' for value in values)})")
    print(f"{name}  ratio {ratio:.2f} (goal {GOAL_RATIO}), anonymous memory {anonymous:.1f} MiB (goal {GOAL_ANONYMOUS_MIB})", flush=True)
    return ratio <= GOAL_RATIO and anonymous < GOAL_ANONYMOUS_MIB


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remap", required=True, help="the program; build it with optimisation")
    parser.add_argument("--make", required=True, help="make_torch_zip")
    parser.add_argument("--work", required=True, help="an existing folder with 10 GB free; both files are on its file system")
    parser.add_argument("--argument", action="append", default=[], help="a further argument for remap; may be repeated")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sync", action="store_true", help="time until everything is on the disk")
    parser.add_argument("--case", choices=list(CASES), action="append", help="only this size")
    options = parser.parse_args()
    passed = [measure(name, options, CASES[name]) for name in options.case or CASES]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
