#!/usr/bin/env python3
"""Checks with transformers itself that an output folder loads as what it says it is. Needs torch and transformers
(tried with 4.38 and 5.23); not part of `make test`.

    check_transformers.py FOLDER              loads with nothing missing, unexpected, mismatched or left random
    check_transformers.py FOLDER EXPECTED     and equals the expected folder: configuration, every tensor bit for bit,
                                              and the keys that transformers writes when it saves the model again

The class is the one in config.json's "architectures". Exit 0: all is well; 1: findings, one a line; 2: cannot run.
"""
import json
import pathlib
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
try:
    import torch
    import transformers
except ImportError as error:
    print(f"this check needs torch and transformers: {error}", file=sys.stderr)
    sys.exit(2)
transformers.logging.set_verbosity(transformers.logging.CRITICAL)
transformers.logging.disable_progress_bar()

# How a folder was written, not what it holds. torch_dtype is dtype in transformers 5.
NOT_COMPARED = {"transformers_version", "_name_or_path", "torch_dtype", "dtype"}


class Checker:
    def __init__(self):
        self.findings = []

    def say(self, text):
        self.findings.append(text)

    def model_class(self, folder):
        names = json.loads((folder / "config.json").read_text()).get("architectures") or []
        if len(names) != 1 or not hasattr(transformers, names[0]):
            raise ValueError(f"{folder}/config.json: 'architectures' is {names}; one class of transformers was expected")
        return getattr(transformers, names[0])

    def load(self, folder, seed):
        """The model, and what from_pretrained found wrong. What it leaves uninitialised depends on `seed`."""
        torch.manual_seed(seed)
        model, info = self.model_class(folder).from_pretrained(str(folder), output_loading_info=True)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            for item in sorted(map(str, info.get(kind) or [])):
                self.say(f"{folder}: {kind}: {item}")
        return model.eval()

    def check_loads(self, folder):
        model = self.load(folder, seed=1)
        findings = len(self.findings)
        again = self.load(folder, seed=2)
        del self.findings[findings:]  # the same ones again
        for (name, a), (_, b) in zip(all_tensors(model), all_tensors(again)):
            if not same_bits(a, b):
                self.say(f"{folder}: {name} differs between two loads, so it is not in the files")
        self.check_stored(folder, model)
        return model

    def check_stored(self, folder, model):
        """Every parameter, or one it is tied to, is in the files: some classes are silent about a missing one, and zeros and ones
        that a model starts with are the same at every seed."""
        stored = {usual_name(name) for name in stored_tensors(folder)}
        names = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            names.setdefault((parameter.data_ptr(), parameter.shape), []).append(name)
        for group in names.values():
            if not any(usual_name(name) in stored for name in group):
                self.say(f"{folder}: {' = '.join(group)} is not in the files")

    def check_equal(self, folder, model, expected):
        reference = self.load(expected, seed=1)
        if type(model) is not type(reference):
            self.say(f"architecture is {type(model).__name__}; expected {type(reference).__name__}")
            return
        a, b = config_fields(model.config), config_fields(reference.config)
        for name in sorted(a.keys() | b.keys()):
            if a.get(name, "absent") != b.get(name, "absent") or (name in a) != (name in b):
                self.say(f"config: {name} is {a.get(name, 'absent')!r}; expected {b.get(name, 'absent')!r}")
        if stored_dtype(folder) != stored_dtype(expected):
            self.say(f"config: dtype is {stored_dtype(folder)!r}; expected {stored_dtype(expected)!r}")
        self.compare_tensors("model", dict(all_tensors(model)), dict(all_tensors(reference)))
        self.compare_tensors("file", stored_tensors(folder), stored_tensors(expected))
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            model.save_pretrained(a)
            reference.save_pretrained(b)
            self.compare_keys("saved again", stored_tensors(pathlib.Path(a)), stored_tensors(pathlib.Path(b)))

    def compare_keys(self, what, a, b):
        for name in sorted(a.keys() - b.keys()):
            self.say(f"{what}: {name} is not expected")
        for name in sorted(b.keys() - a.keys()):
            self.say(f"{what}: {name} is missing")

    def compare_tensors(self, what, a, b):
        self.compare_keys(what, a, b)
        for name in sorted(a.keys() & b.keys()):
            if a[name].dtype != b[name].dtype or a[name].shape != b[name].shape:
                self.say(f"{what}: {name} is {a[name].dtype} {list(a[name].shape)}; expected {b[name].dtype} {list(b[name].shape)}")
            elif not same_bits(a[name], b[name]):
                self.say(f"{what}: {name} has other values")


def all_tensors(model):
    """Parameters and buffers, those that are not saved included; a tied one under each of its names."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def usual_name(name):
    """torch before and after 2.0 names the two parts of a weight-normalised tensor differently."""
    return name.replace(".weight_g", ".parametrizations.weight.original0").replace(".weight_v", ".parametrizations.weight.original1")


def same_bits(a, b):
    """Unlike torch.equal: a NaN equals itself, and 0.0 is not -0.0."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    a, b = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b))
    return torch.equal(a, b)


def stored_tensors(folder):
    from safetensors.torch import load_file

    index = folder / "model.safetensors.index.json"
    if index.exists():
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    else:
        names = ["model.safetensors"]
    tensors = {}
    for name in names:
        tensors.update(load_file(str(folder / name)))
    return tensors


def config_fields(config):
    """Every field, the defaults too, as plain values."""
    return {name: value for name, value in json.loads(json.dumps(config.to_dict(), default=str)).items() if name not in NOT_COMPARED}


def stored_dtype(folder):
    config = json.loads((folder / "config.json").read_text())
    return config.get("dtype", config.get("torch_dtype"))


def main(arguments):
    if len(arguments) not in (1, 2) or arguments[0].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    folders = [pathlib.Path(a) for a in arguments]
    for folder in folders:
        if not (folder / "config.json").is_file():
            print(f"{folder}: no config.json", file=sys.stderr)
            return 2
    checker = Checker()
    try:
        model = checker.check_loads(folders[0])
        if len(folders) == 2:
            checker.check_equal(folders[0], model, folders[1])
    except Exception as error:  # whatever transformers raises for a folder that does not load
        checker.say(f"{type(error).__name__}: {error}")
    for finding in checker.findings:
        print(finding)
    print(f"{folders[0].name}: {len(checker.findings) or 'no'} findings (transformers {transformers.__version__})")
    return 1 if checker.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
