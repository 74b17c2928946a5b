#!/usr/bin/env python3
"""Times `remap verify` against PyTorch at the size of roberta.large: 355M parameters, 128 tokens, both layouts.

  tests/bench/verify_bench.py --remap build/release/remap --make build/release/tests/make_checkpoint --work /data/tmp

Run it with a Python that has torch and transformers. The two programs run alternately, on the same cores. For PyTorch two figures are given:
the two forward passes alone, once everything is loaded and warm (float32, transformers' class twice, since fairseq's computes the same),
and the whole process. For remap only the whole process: start, two forward passes, and every byte of the target compared with the
source's. Its anonymous memory is sampled in a run of its own.
"""
import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

from bench import drop, memory

GOAL_RATIO = 2.0
TOKENS = 128

TORCH = """
import sys, time, torch
from transformers import RobertaForMaskedLM
torch.set_num_threads(int(sys.argv[2]))
ids = torch.tensor([[int(i) for i in sys.argv[3].split(",")]])
with torch.inference_mode():
    model = RobertaForMaskedLM.from_pretrained(sys.argv[1]).eval()
    model(ids)
    start = time.perf_counter()
    for _ in range(2):
        model(ids, output_hidden_states=True)
    print(time.perf_counter() - start)
"""


def write_safetensors(path, key, rows):
    """An int64 tensor [batch, tokens]."""
    data = b"".join(struct.pack("<q", value) for row in rows for value in row)
    header = json.dumps({key: {"dtype": "I64", "shape": [len(rows), len(rows[0])], "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def timed(command):
    start = time.perf_counter()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return time.perf_counter() - start, out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remap", required=True, help="the program; build it with optimisation")
    parser.add_argument("--make", required=True, help="make_checkpoint")
    parser.add_argument("--work", required=True, help="an existing folder with 4 GB free")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    work = pathlib.Path(options.work)
    checkpoint, output, probe = work / "verify.pt", work / "verify-out", work / "verify-input.safetensors"
    tokens = [0] + [3 + 389 * i % 50000 for i in range(TOKENS - 2)] + [2]
    verify = [options.remap, "verify", str(checkpoint), "--target", str(output), "--input", str(probe)]
    torch = [sys.executable, "-c", TORCH, str(output), str(len(os.sched_getaffinity(0))), ",".join(map(str, tokens))]
    try:
        drop(output)
        subprocess.run([options.make, "roberta", str(checkpoint)], check=True)
        subprocess.run([options.remap, "-q", str(checkpoint), "-o", str(output)], check=True)
        write_safetensors(probe, "input_ids", [tokens])
        figures = {"remap verify, whole process": [], "PyTorch, two forward passes": [], "PyTorch, whole process": []}
        timed(verify)
        for _ in range(options.runs):
            figures["remap verify, whole process"].append(timed(verify)[0])
            whole, passes = timed(torch)
            figures["PyTorch, two forward passes"].append(float(passes.split()[-1]))
            figures["PyTorch, whole process"].append(whole)
        anonymous, _ = memory(verify, work / "nothing")
    finally:
        for path in (checkpoint, output, probe):
            drop(path)
    median = {name: statistics.median(values) for name, values in figures.items()}
    for name, values in figures.items():
        print(f"{name:28} median {median[name]:6.2f} s  ({' '.join(f'{value:.2f}' for value in values)})")
    ours, passes, whole = median.values()
    print(f"remap / two forward passes {ours / passes:.2f} (goal {GOAL_RATIO}), remap / whole process {ours / whole:.2f}, anonymous memory {anonymous:.0f} MiB")
    return 0 if ours / passes <= GOAL_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
