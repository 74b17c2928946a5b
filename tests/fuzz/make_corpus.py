#!/usr/bin/env python3
"""Writes tests/fuzz/corpus: small files of each kind that a reader meets. Needs torch (2.13 was used) and numpy; run by hand,
and only when a kind is added: the files are part of the repository."""
import argparse
import collections
import gzip
import io
import json
import pathlib
import pickle
import struct
import zipfile

import numpy
import torch

CORPUS = pathlib.Path(__file__).parent / "corpus"


def put(kind, name, data):
    folder = CORPUS / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())




def pickles():
    cycle = [1]
    cycle.append(cycle)
    shared = {"a": (1, 2)}
    values = {
        "plain": {"i": 1, "neg": -300, "long": 2**70, "f": -0.5, "n": None, "t": True, "s": "äöü", "b": b"\0\xff", "l": [1, [2, []]], "st": {1}},
        "shared": [shared, shared, {"again": shared}],
        "cycle": cycle,
        "namespace": argparse.Namespace(encoder_layers=2, arch="base", lr=[0.5], nested=argparse.Namespace(x=None)),
        "ordered": collections.OrderedDict([("b", 1), ("a", collections.OrderedDict())]),
        "numpy": {"f": numpy.float64(1.5), "i": numpy.int64(-3), "b": numpy.bool_(True)},
        "long_text": "x" * 300,
    }
    for name, value in values.items():
        for protocol in (0, 2, 4):
            put("pickle", f"{name}.{protocol}.pkl", pickle.dumps(value, protocol))
    put("pickle", "bytearray.5.pkl", pickle.dumps(bytearray(b"abc"), 5))
    put("pickle", "global.pkl", b"\x80\x02cos\nsystem\nU\x04trueq\x00\x85R.")
    # An object as BUILD makes it, without the class being importable.
    put("pickle", "unknown.pkl", b"\x80\x02cfairseq.meters\nAverageMeter\nq\x00)\x81q\x01}q\x02U\x05valueK\x01sb.")
    put("pickle", "deep.pkl", b"\x80\x02" + b"]" * 500 + b"a" * 499 + b".")


def torch_files():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    values = {
        "views": {"a": base, "t": base.t(), "part": base[1:3, 2:4], "tied": base},
        "dtypes": {str(d)[6:]: torch.ones(2, dtype=d) for d in (torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)},
        "checkpoint": {"args": argparse.Namespace(encoder_layers=1), "model": collections.OrderedDict([("w", base[0].clone()), ("p", torch.nn.Parameter(torch.zeros(2)))]), "extra_state": {"step": torch.tensor(3)}},
        "module": module,
        "empty": {"none": torch.empty(0, 3), "scalar": torch.tensor(1.0)},
    }
    for name, value in values.items():
        for kind, zipped in (("zip", True), ("legacy", False)):
            if kind == "legacy" and name == "module":
                continue  # torch writes the source code of the classes, with its place on this machine, into it
            file = io.BytesIO()
            torch.save(value, file, _use_new_zipfile_serialization=zipped)
            put("torch_zip", f"{name}.{kind}.pt", file.getvalue())
            if zipped:
                with zipfile.ZipFile(file) as archive:
                    put("pickle", f"{name}.data.pkl", archive.read("archive/data.pkl"))
    # The same, by another writer: deflated, with a data descriptor and a comment.
    with zipfile.ZipFile(io.BytesIO((CORPUS / "torch_zip/views.zip.pt").read_bytes())) as archive:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
            out.comment = b"a comment"
            for name in archive.namelist():
                with out.open(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as member:
                    member.write(archive.read(name))
        put("torch_zip", "deflated.zip.pt", file.getvalue())
    put("torch_zip", "no_members.zip.pt", b"PK\5\6" + bytes(18))


def safetensors():
    def file(header, size):
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + bytes(range(size))

    two = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "b": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]}}
    put("safetensors", "two.safetensors", file({"__metadata__": {"format": "pt"}, **two}, 26))
    put("safetensors", "empty.safetensors", file({}, 0))
    put("safetensors", "no_elements.safetensors", file({"a": {"dtype": "I64", "shape": [0, 5], "data_offsets": [0, 0]}}, 0))
    put("safetensors", "hole.safetensors", file({"a": {"dtype": "U8", "shape": [2], "data_offsets": [4, 6]}}, 6))
    put("safetensors", "overflow.safetensors", file({"a": {"dtype": "F64", "shape": [2**62, 8], "data_offsets": [0, 8]}}, 8))


def packed(value):
    """Just enough of msgpack for a T5X index."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes([value]) if 0 <= value < 128 else b"\xce" + struct.pack(">I", value)
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else b"\xd9" + bytes([len(raw)])) + raw
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    if isinstance(value, (list, tuple)):
        return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
    if isinstance(value, dict):
        return b"\xde" + struct.pack(">H", len(value)) + b"".join(packed(k) + packed(v) for k, v in value.items())
    if isinstance(value, numpy.ndarray):
        raw = packed([list(value.shape), str(value.dtype), value.tobytes()])
        return b"\xc7" + bytes([len(raw), 1]) + raw
    raise TypeError(type(value))


def spec(path, shape, **kvstore):
    return {"driver": "zarr", "dtype": "float32", "kvstore": {"driver": "file", "path": path, **kvstore},
            "metadata": {"chunks": shape, "compressor": {"id": "gzip", "level": 1}, "shape": shape}}


def t5x():
    array = numpy.arange(6, dtype="float32").reshape(2, 3)
    trees = {
        "inline": {"version": 3, "optimizer": {"state": {"step": numpy.array(5, "int32")}, "target": {"a": {"kernel": array}, "b": {"scale": array[0]}}}},
        "specs": {"version": 3, "optimizer": {"target": {"a": {"kernel": spec("target.a.kernel/", [2, 3])}, "b": {"kernel": spec("target.b.kernel", [4], bucket="t5x-dummy-bucket")}}}},
        "chunked": {"version": 3, "optimizer": {"target": {"a": {"__msgpack_chunked_array__": True, "shape": {"0": 2, "1": 3}, "chunks": {"0": array.ravel()[:4], "1": array.ravel()[4:]}}}}},
        "orbax": {"state": {"step": numpy.array(1, "int32")}, "target": {"a": "PLACEHOLDER://target.a"}},
        "old": {"version": 2, "optimizer": {"target": {"n": None, "e": {}}}},
        "escape": {"version": 3, "optimizer": {"target": {"a": spec("../../outside", [2])}}},
    }
    for name, tree in trees.items():
        put("msgpack", f"{name}.msgpack", packed(tree))
    put("msgpack", "nested.msgpack", b"\x91" * 400 + b"\xc0")
    put("msgpack", "claims.msgpack", b"\xdd\xff\xff\xff\xff\xc0")


def gin():
    put("gin", "macros.gin", "from __gin__ import dynamic_registration\nimport seqio\n\n# Macros:\n# ====\nNUM_HEADS = 3\nNUM_LAYERS = %NUM_BLOCKS\nNUM_BLOCKS = 4\nNAME = 'a'\nLIST = ['x', (1, -2.5e3,), {'k': None}]\n")
    put("gin", "parameters.gin", "# Parameters for dense.MlpBlock:\ndense.MlpBlock.activations = ('gelu', 'linear')\nexpert/dense.MlpBlock.kernel_init = \\\n    @expert_kernel_init/linen.initializers.variance_scaling()\nx.y = True # a comment\ninclude 'base.gin'\n")
    put("gin", "cycle.gin", "A = %B\nB = %A\n")
    put("gin", "open.gin", "A = [1, (2, 'abc\n")
    put("gin", "long.gin", "A = \\\n    1\nT = \"\"\"two\nlines\"\"\"\nZ = " + "[" * 200 + "]" * 200 + "\n")


def zarr():
    usual = {"chunks": [4, 24, 40], "compressor": {"id": "gzip", "level": 1}, "dimension_separator": ".", "dtype": "<f4", "fill_value": None, "filters": None, "order": "C", "shape": [4, 24, 40], "zarr_format": 2}
    for name, change in {
        "usual": {}, "zstd": {"compressor": {"id": "zstd", "level": 1}}, "raw": {"compressor": None}, "bfloat16": {"dtype": "bfloat16"},
        "ragged": {"shape": [5, 25, 41], "fill_value": 1.5}, "nan": {"fill_value": "NaN"}, "scalar": {"shape": [], "chunks": []},
        "huge": {"shape": [2**62, 4], "chunks": [2**61, 4]}, "zero_chunk": {"chunks": [0, 1, 1]}, "fortran": {"order": "F"}, "v3": {"zarr_format": 3},
    }.items():
        put("zarr_json", f"{name}.zarray", json.dumps({**usual, **change}, sort_keys=True, separators=(",", ":")))
    put("zarr_json", "chunk.gz", gzip.compress(bytes(96), mtime=0))
    put("zarr_json", "nested.json", "[" * 400 + "]" * 400)


if __name__ == "__main__":
    torch.manual_seed(0)
    pickles(), torch_files(), safetensors(), t5x(), gin(), zarr()
