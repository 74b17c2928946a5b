#!/usr/bin/env python3
"""Every class of transformers that remap writes for opens what was converted, with nothing missing, left over, of another
shape or newly made: docs/coverage.md, "Loaded by transformers".

    loads.py [NAME ...]        converts the bundled checkpoints (those whose line names NAME) and loads them; exit code 1 if any does not

Needs transformers and torch (4.38 or 5), and remap: REMAP names it, otherwise build/dev/remap or build/release/remap.
"""
import importlib
import logging
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETS = """
roberta/source/model.pt
roberta/source-mnli/model.pt
xlmr/source/model.0122.pt --rules xlmr
xlmr-xl/source-xl/model.0122.pt
xlmr-xl/source-xl-mnli/model.pt
xmod/source/model.pt
xmod/source-mnli/model.pt
data2vec-audio/source/model.pt
data2vec-audio/source-ctc/model.pt
flava/source/model.pt codebook=tests/data/flava/source/encoder.pkl --config tests/data/flava/source/config_input.json
llama/two-shards/source/13B --set version=1
llama/llama31-two-shards/source since 4.43
wav2vec2/source-large/model.2020.pt
wav2vec2/source-base-ctc/model.2020.pt
hubert/source-base/model.fp16.pt
hubert/source-base-ctc/model.legacy.pt
bart/source/model.2019f.pt
bart/source/model.2019f.pt --set head=none
bart/source-mnli/model.0122.pt
mbart/source/model.2019f.pt
mbart/source-ft/model.args.pt
m2m100/source/model.args.pt
clip/source-b/model.pt
clip/source-openclip/open_clip_pytorch_model.bin
whisper/model.pt
mistral/source --rules mistral
mixtral/source
t5/t5_1_0/source/checkpoint_1000
t5/t5_1_1/source/checkpoint_1100000
t5/t5_1_1/source/checkpoint_1100000 --set part=encoder
t5/umt5/source/checkpoint_1000000
t5-tf/v1_0/source
t5-tf/v1_1/source
switch/source/checkpoint_1200
bert/pretraining/source
bert/pretraining/source --set head=mlm
bert/pretraining/source --set head=next-sentence
bert/sharded/source --set head=none
bert/tf2/source
electra/small/source --config tests/data/electra/small/source/config-discriminator.json
electra/small/source --config tests/data/electra/small/source/config-generator.json --set model=generator
albert/v1/source
albert/v1/source --set head=mlm
albert/v1/source --set head=none
""".split("\n")


def program():
    for path in (os.environ.get("REMAP"), ROOT / "build/dev/remap", ROOT / "build/release/remap"):
        if path and pathlib.Path(path).exists():
            return str(path)
    sys.exit("there is no remap: build it, or name it with REMAP")


class Warnings(logging.Handler):
    """What the loader says about weights it made anew, whichever of its lists it kept them in."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.found = []

    def emit(self, record):
        text = record.getMessage()
        if "newly initialized" in text or "MISSING" in text or "UNEXPECTED" in text:
            self.found.append(text.split("\n")[0])


def load(folder):
    """The class, and all that is wrong with loading the folder."""
    import json
    import transformers

    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    heard = Warnings()
    logger = logging.getLogger("transformers")
    logger.addHandler(heard)
    try:
        _, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, local_files_only=True)
    finally:
        logger.removeHandler(heard)
    wrong = [f"{kind}: {sorted(map(str, keys))}" for kind, keys in info.items() if keys]
    return name, wrong + heard.found


def main(arguments):
    transformers = importlib.import_module("transformers")
    remap, failed, count = program(), 0, 0
    for line in SETS:
        if not line or (arguments and not any(word in line for word in arguments)):
            continue
        line, _, since = line.partition(" since ")  # its class, or what its config.json says, is not in every version
        if since and [int(n) for n in transformers.__version__.split(".")[:2]] < [int(n) for n in since.split(".")]:
            continue
        source, *options = line.split()
        count += 1
        with tempfile.TemporaryDirectory() as scratch:
            out = pathlib.Path(scratch) / "out"
            done = subprocess.run([remap, "-q", f"tests/data/{source}", "-o", str(out), *options], capture_output=True, text=True, cwd=ROOT)
            if done.returncode != 0:
                name, wrong = "", [done.stderr.strip()]
            else:
                try:
                    name, wrong = load(out)
                except Exception as error:  # whatever a version raises, it does not load
                    name, wrong = "", [f"{type(error).__name__}: {error}"]
        failed += bool(wrong)
        print(f"{name or '-':38} {'; '.join(wrong) or 'clean':7} {line}", flush=True)
    print(f"transformers {transformers.__version__}: {count - failed} of {count} load clean")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
