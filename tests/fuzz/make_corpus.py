#!/usr/bin/env python3
"""make_corpus.py [KIND…]: writes tests/fuzz/corpus, small files of each kind that a reader meets. Needs torch (2.13 was used) and
numpy; run by hand, and only when a kind is added: the files are part of the repository. What a fuzzer found is there too, under a
name that says what it is; nothing makes those."""
import argparse
import collections
import gzip
import io
import json
import pathlib
import pickle
import struct
import sys
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


def short(text):
    raw = text.encode() if isinstance(text, str) else text
    return bytes([len(raw)]) + raw


def long(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<H", len(raw)) + raw


def torch_pickles():
    """A byte for the container, then the pickle (torch_pickle_fuzz.cpp)."""
    with zipfile.ZipFile(CORPUS / "torch_zip/views.zip.pt") as archive:
        zipped = archive.read("archive/data.pkl")
    for name, form in (("stored", 0), ("deflated", 1), ("legacy", 2), ("legacy_big_endian", 200)):
        put("torch_pickle", name, bytes([form]) + zipped)
    for name in ("namespace.2", "ordered.2", "numpy.2", "global", "module.data", "dtypes.data"):
        put("torch_pickle", name, b"\0" + (CORPUS / f"pickle/{name}.pkl").read_bytes())


def zips():
    """A kind of damage, changes of bytes, members (zip_fuzz.cpp)."""
    pickle_ = (CORPUS / "pickle/plain.2.pkl").read_bytes()
    members = bytes([0]) + long(pickle_) + bytes([1 | 1 << 3]) + long(bytes(24)) + bytes([2 | 2 << 3]) + long("3\n")
    for damage in range(32):
        put("zip", f"damage_{damage:02}", bytes([damage, 0]) + members)
    put("zip", "named", bytes([0, 0]) + bytes([4]) + short("../escape") + long("x") + bytes([5]) + short("a/b") + long("y" * 200))
    put("zip", "changed", bytes([0, 1]) + struct.pack("<IB", 14, 255) + members)


def t5x_folders():
    """The form, sizes, .zarray, chunk, checkpoint (t5x_fuzz.cpp)."""
    for codec, name in enumerate(("raw", "gzip", "zlib", "zstd")):
        put("t5x", name, bytes([codec, 4, 3]) + long("") + long(bytes(range(16))))
        put("t5x", f"{name}_bfloat16_filled", bytes([codec | 4 << 2 | 0x80, 6, 3]) + long("") + long(bytes(range(8))))
    put("t5x", "own_zarray", bytes([1, 4, 3]) + long((CORPUS / "zarr_json/usual.zarray").read_bytes()) + long(bytes(64)))
    for name in ("inline", "chunked", "orbax", "specs"):
        put("t5x", f"own_{name}", bytes([0, 4, 3]) + long("") + long(bytes(16)) + (CORPUS / f"msgpack/{name}.msgpack").read_bytes())


def indices():
    for name, index in {
        "right": {"metadata": {"total_size": 2}, "weight_map": {"a": "one", "b": "two"}},
        "swapped": {"weight_map": {"a": "two", "b": "one"}}, "one": {"weight_map": {"a": "one"}},
        "escape": {"weight_map": {"a": "../one"}}, "absolute": {"weight_map": {"a": "/etc/passwd"}},
        "itself": {"weight_map": {"a": "model.safetensors.index.json"}}, "missing": {"weight_map": {"a": "three"}},
        "number": {"weight_map": {"a": 1}}, "empty": {"weight_map": {}},
    }.items():
        put("shard_index", f"{name}.json", json.dumps(index))


def folders():
    """Files: form, name, contents (folder_fuzz.cpp)."""
    def file(form, name, text=""):
        return bytes([form | 0x80]) + short(name) + long(text)

    index = json.dumps({"weight_map": {"a": "one", "b": "two"}})
    for name, files in {
        "single": [file(1, "model.safetensors", "a")], "ranks": [file(2, f"consolidated.0{i}.pth", "w") for i in range(2)],
        "shards": [file(1, f"model-0000{i}-of-00002.safetensors", "ab"[i - 1]) for i in (1, 2)],
        "indexed": [file(0, "model.safetensors.index.json", index), file(1, "one", "a"), file(2, "two", "b")],
        "link": [file(1, "a", "w"), file(4, "model.safetensors", "a")], "circle": [file(4, "a.pt", "a.pt")],
        "download": [file(2, "a.pt", "w"), file(0, "a.pt.part", "x")], "several": [file(2, "a.pt", "w"), file(2, "b.pt", "w")],
        "mixed": [file(2, "pytorch_model.bin", "w"), file(0, "config.json", "{}"), file(3, "checkpoint_1")],
        "orbax": [file(0, "checkpoint", packed({"version": 3, "optimizer": {"target": {}}}))],
    }.items():
        put("folder", name, b"".join(files))


def any_files():
    """A few bytes of what is recognised, read or not."""
    for name, data in {
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(8), "npy": b"\x93NUMPY\1\0", "gguf": b"GGUF\3\0\0\0" + bytes(16), "gzip": gzip.compress(b"x" * 20, mtime=0),
        "tar": b"sys_info".ljust(257, b"\0") + b"ustar\0" + bytes(249), "html": b"<!DOCTYPE html>", "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:",
        "text": b"a float32 [2]\n", "index": b'{"weight_map": {"a": "one"}}', "manifest": b'{"remap_manifest": 1, "tensors": []}',
        "msgpack": b"\x81\xa1a\xc0", "json_list": b"[1]", "empty": b"",
    }.items():
        put("any_file", name, data)


def manifests():
    put("manifest", "lines.txt", '# a comment\n\na.weight float32 [2, 3]\r\nb\tBF16\t[]\n"with blank" int8 [0]\nq qint8 [4] not read: a quantized tensor\nu ? ? not read: unknown\n')
    for name, value in {
        "plain": {"tensors": [{"key": "a", "dtype": "F32", "shape": [2]}]},
        "tied": {"format": "torch", "metadata": {"args": {"x": 1}}, "tensors": [{"key": k, "dtype": "F16", "shape": [2], "alias": "a"} for k in "ab"]},
        "folded": {"folded": True, "tensors": {"layers.{0..3}.{w,b}": {"dtype": "F4", "shape": [2]}}},
        "unread": {"tensors": [{"key": "a", "dtype": None, "shape": None, "unread": "why"}]},
        "folded_huge": {"folded": True, "tensors": {"{0..999999}.{0..999999}": {"dtype": "F32", "shape": []}}},
    }.items():
        put("manifest", f"{name}.json", json.dumps({"remap_manifest": 1, **value}))


def documents():
    put("document", "params.json", json.dumps({"dim": 8, "n_layers": 2, "norm_eps": 1e-5, "list": [None, True, "ä\u0000"]}))
    put("document", "lines.txt", "a 1\r\nb 2\n\n")
    put("document", "twice.json", '{"a": 1, "a": 2}')
    put("document", "numbers.json", "[0, -0, 1e400, 18446744073709551616, -9223372036854775809, 0.1]")
    put("document", "surrogates.json", '"\\ud800 \\ud83d\\ude00"')


def expressions():
    for name, text in {
        "arithmetic": "(1 + 2) * 3 // -4 % 5 - 6 / 2", "conditions": "1 if hidden == 32 and not false or 'a' in ['a'] else 2",
        "paths": "meta.cfg.list[-1][0].a ?? meta['args'] ?? open ?? omit", "edges": "[huge * 2, small // -1, -small, huge + 1, real * real]",
        "lists": "by_index(sorted(list)) if len(range(1, 12, 4)) > 2 else slice(list, 1, -1)", "keys": "exists('a') and count('layers.*.w') == 2 and shape('a')[1] > 2",
        "text": "'it''s' + \"\\\\n\" + before_last(['a 1'], ' ')[0]", "python": "python_list('[(512, 10, 5)] + [(512, 3, 2)] * 2')",
        "long_list": "range(1000000000)", "deep": "(" * 200 + "1" + ")" * 200, "objects": "object(['b', 'a'], [1.5, [2]])",
    }.items():
        put("expression", name, text)


def patterns():
    for name, lines in {
        "stars": ["layers.*.w", "layer.*.weight", "layers.12.w", "layers.x.w"], "rest": ["a.**", "b.**", "a.x.y.z"],
        "holes": ["{p:qkv}_proj.{q:weight|bias}", "{p}.{q}", "k_proj.bias"], "indices": ["e.{i:4..7}.w", "f.{i-4}", "e.5.w"],
        "variants": ["${head}.${none}.x", "${head}", "lm.x"], "regex": [r"re:block_(\d+)_([ab])", r"block.\2.\1", "block_12_a"],
        "int": ["block_{i:int}", "block.{i+1}", "block_9223372036854775807", "block_007"], "moved": ["x.{i:int}", "x.{i-1}", "x.0"],
    }.items():
        put("pattern", name, "\n".join(lines) + "\n")


def plans():
    head = 'remap: 1\nfamily: toy\nsource: {root: ""}\n'
    for name, parts in {
        "moves": [head + "rules:\n  - {from: embed.weight, to: e, shape: [vocab, hidden], transpose: true}\n  - {from: \"layers.*.fc.{p:weight|bias}\", to: \"layer.*.{p}\"}\n"
                  "  - {from: qkv, to: \"{p}\", split: {axis: 0, into: {p: [q, k, v]}}}\n  - {from: \"experts.{e}.w\", to: w, stack: {axis: 0, each: e}}\n"
                  "  - {drop: step, because: not a weight}\n  - {drop: none, because: empty}\n"],
        "steps": [head + "rules:\n  - {from: a, to: b, shape: [h*2, d], steps: [{reshape: [h, 2, d]}, {permute: [1, 0, 2]}, {reshape: [2*h, d]}], cast: float16}\n"
                  "  - {to: z, fill: 1, shape: [h]}\n  - {to: c, copy_of: b}\n", "a float32 [6, 4]\n"],
        "concat": [head + "rules:\n  - {from: \"{n}\", to: j, concat: {axis: 1, of: {n: [l, r]}}}\n", "l float32 [2, 1]\nr float32 [2, 3]\n"],
        "schema": [head + "target: {architecture: A}\nrules: [{from: \"l.*.w\", to: \"l.*.w\", shape: [hidden_size]}]\nconfig: {hidden_size: $hidden_size, n: $count('l.*.w')}\n",
                   "l.0.w float32 [2]\nl.1.w float32 [2]\n", "remap_schema: 1\nmodel_type: toy\narchitectures: {A: {\"l.{0..n-1}.w\": [hidden_size]}}\n", '{"hidden_size": 2}'],
    }.items():
        put("plan", name, "\n====\n".join(part.rstrip("\n") for part in parts))


def schemas():
    put("schema", "loops", "remap_schema: 1\nmodel_type: toy\nlibrary: x 1\nfields: [hidden_size, {sub: [a]}]\naliases: {n: hidden_size}\nconfig: {a: 1}\nimplied: {b: true}\n"
        "require: [{that: hidden_size > 1, because: small}]\ntensors:\n  \"l.{0..num_hidden_layers-1}.{w|b}\": [hidden_size, 2*hidden_size]\n"
        "  \"x.{i in list}\": {shape: [i], when: name == 'x'}\nbase_model: {architecture: Base, prefix: m}\narchitectures:\n  Base: {}\n  Head: {head: [vocab_size]}\n")
    put("schema", "many", "remap_schema: 1\nmodel_type: toy\narchitectures: {A: {\"{0..n}.{0..n}.{0..n}\": {shape: [], when: false}}}\n====\n{\"n\": 9223372036854775807}")


def model_files():
    put("model_file", "steps", "remap_model: 1\nlibrary: x 1\nsource: {root: model}\nlet: {heads: config.num_heads}\ninputs: {input_ids: {kind: tokens, vocab: shape('e')[0]}}\n"
        "steps:\n  - x: embedding('e', input_ids)\n  - repeat: {i: layers}\n    steps: [{x: \"linear(x, 'l.{i}.fc')\"}, {record: {\"hidden.{i+1}\": x}}]\n  - when: exists('h')\n    steps: [{x: x}]\n")


SOURCES = pathlib.Path(__file__).parent.parent / "data/sources"


def dcp():
    """Forms 0 to 3 of dcp_fuzz.cpp: files as they are, metadata a rank, safetensors, built."""
    for name in ("dcp-dtensor", "dcp-strided", "dcp-mesh-2d", "dcp-old-dtensor", "dcp-zstd"):
        folder = SOURCES / name / "source"
        files = [(folder / file).read_bytes() for file in (".metadata", "__0_0.distcp", "__1_0.distcp")]
        put("dcp", name, b"\0" + long(files[0]) + long(files[1]) + files[2])
    folder = SOURCES / "dcp-per-rank-metadata/source"
    files = [(folder / file).read_bytes() for file in ("__0.metadata", "__1.metadata", "__0_0.distcp", "__1_0.distcp")]
    put("dcp", "per_rank", b"\1" + b"".join(map(long, files[:3])) + files[3])
    folder = SOURCES / "dcp-hf-sharded-mapped/source"
    files = sorted(folder.glob("shard-*-model-00001-*"))
    put("dcp", "safetensors", b"\2" + long(files[0].read_bytes()) + files[1].read_bytes())
    two_chunks = b"\0" + short("w") + bytes([2, 4, 3, 2]) + bytes([2, 0, 0, 2, 3, 3, 0]) + bytes([2, 3, 0, 2, 1, 3, 0]) + b"\0"
    put("dcp", "built", b"\3" + two_chunks)
    put("dcp", "built_short", b"\3" + two_chunks.replace(bytes([3, 3, 0]), bytes([3, 3, 2, 0xF0])))
    put("dcp", "built_other", b"\3" + two_chunks.replace(bytes([3, 3, 0]), bytes([3, 3, 1]) + long((CORPUS / "pickle/views.data.pkl").read_bytes())))


def data_pickle(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def rank_folders():
    """A byte for the kind of folder and the number of files, then their pickles (rank_folder_fuzz.cpp)."""
    for name in ("verl-tp", "verl-hsdp", "dtensor-submesh"):
        files = sorted((SOURCES / name / "source").glob("*.pt"))
        put("rank_folder", name, bytes([48]) + b"".join(long(data_pickle(file)) for file in files))
    for name in ("dtensor-mixed", "sharded-tensor"):
        files = sorted((SOURCES / name / "source").glob("*.pt"))
        put("rank_folder", name, bytes([18]) + b"".join(long(data_pickle(file)) for file in files))
    step = SOURCES / "deepspeed-zero1-bf16/source/global_step2"
    files = [step / "mp_rank_00_model_states.pt", *sorted(step.glob("*_optim_states.pt"))]
    put("rank_folder", "zero1", bytes([20]) + b"".join(long(data_pickle(file)) for file in files))
    step = SOURCES / "deepspeed-zero3-bf16/source/global_step2"
    files = [file for rank in (0, 1) for file in (next(step.glob(f"*rank_{rank}_*_model_states.pt")), next(step.glob(f"*rank_{rank}_*_optim_states.pt")))]
    put("rank_folder", "zero3", bytes([21]) + b"".join(long(data_pickle(file)) for file in files))
    tensor = data_pickle(CORPUS / "torch_zip/empty.zip.pt")
    put("rank_folder", "universal", bytes([22]) + short("global_step2") + long(tensor) + long(data_pickle(SOURCES / "deepspeed-zero0-f32/source/global_step2/mp_rank_00_model_states.pt")))
    put("rank_folder", "latest_escapes", bytes([22]) + short("../../x") + long(tensor))
    files = sorted((SOURCES / "megatron-tp2-pp1/source/iter_0000100").glob("*/*.pt"))
    put("rank_folder", "megatron", bytes([29]) + b"".join(long(data_pickle(file)) for file in files))
    put("rank_folder", "megatron_stages", bytes([23]) + b"".join(long(data_pickle(file)) for file in files))
def text16(data):
    data = data if isinstance(data, bytes) else data.encode()
    return struct.pack("<H", len(data)) + data


def tensorflow_checkpoints():
    """As tensorflow_fuzz.cpp takes them: form, number of files, data; then entries."""
    data = bytes(range(64))
    f32 = lambda dims, offset: bytes([1, len(dims), *dims, offset, 0])
    string = lambda offset, size: bytes([7, 0, offset, size, 0])
    put("tensorflow", "two", bytes([0, 1]) + text16(data) + b"\x00" + f32([2], 0) + b"\x10" + f32([3, 2], 8))
    put("tensorflow", "blocks", bytes([32, 1]) + text16(data) + b"\x01\x01x" + f32([], 0) + b"\x01\x01y" + f32([0, 4], 0) + b"\x01\x02zz" + f32([4], 4))
    put("tensorflow", "slice", bytes([0, 1]) + text16(data) + b"\x0a\x00\x02" + f32([2], 0) + f32([2], 0))
    put("tensorflow", "strings", bytes([0, 1]) + text16(b"\x03\x00\x00\x00\x00abc") + b"\x20" + string(0, 8))
    put("tensorflow", "header", bytes([8, 1]) + text16(data) + text16(b"\x08\x01\x10\x01\x1a\x02\x10\x09") + b"\x00" + f32([2], 0))
    put("tensorflow", "snappy", bytes([2, 1]) + text16(data) + b"\x81\x01z" + text16(b"\x0a\x04ab\x11\x02"))
    put("tensorflow", "table", bytes([16, 1]) + text16(data) + bytes(40) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb")
    tensor = b"\x0a\x01w\x12\x04\x12\x02\x08\x02\x18\x06\x22\x02\x0a\x00"
    put("tensorflow", "old", bytes([9, 1]) + text16(b"") + text16(b"\x0a" + bytes([len(tensor) + 2]) + b"\x0a" + bytes([len(tensor)]) + tensor)
        + b"\x83\x01w\x00\x00" + text16(b"\x12\x06\x1a\x04\x3a\x02\x01\x02"))


def ocdbt_databases():
    """As ocdbt_fuzz.cpp takes them: form, height, manifest, tree; then the bodies of nodes."""
    zarray = b'{"chunks":[2],"compressor":null,"dtype":"<f4","fill_value":null,"filters":null,"order":"C","shape":[2],"zarr_format":2}'

    def varint(n):
        out = b""
        while n >= 128:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def leaf(entries):
        keys = [key.encode() for key, _ in entries]
        return (b"\0" + varint(0) + varint(len(keys)) + b"\0" * (len(keys) - 1) + b"".join(varint(len(k)) for k in keys) + b"".join(keys)
                + b"".join(varint(len(v)) for _, v in entries) + b"\0" * len(keys) + b"".join(v for _, v in entries))

    array = leaf([("a.w/.zarray", zarray), ("a.w/0", bytes(8))])
    tree = json.dumps({"tree_metadata": {"1": {"key_metadata": [{"key": "a", "key_type": 2}, {"key": "w", "key_type": 2}], "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False}}}})
    put("ocdbt", "leaf", bytes([0, 0]) + text16(b"") + text16(tree) + text16(array))
    put("ocdbt", "packed", bytes([0x21, 0]) + text16(b"") + text16(b"") + text16(array))
    put("ocdbt", "tree", bytes([0x10, 0]) + text16(b"") + text16(b"") + b"".join(text16(leaf([(k + "/.zarray", zarray)])) for k in "abc") + leaf([("d/.zarray", zarray)]))
    outside = b"\0" + b"\1" + b"\2" + b"\0" + b"n1" + b"\1" + b"\1" + b"x" + b"\4" + b"\1" + b"\0" + b"\2"
    put("ocdbt", "outside", bytes([0, 0]) + text16(b"") + text16(b"") + text16(outside) + text16(b"value"))
    manifest = b"u" * 16 + b"\0" + b"\x64" + b"\x64" + b"\4" + b"\0"
    put("ocdbt", "manifest", bytes([0, 0]) + text16(manifest + b"\0" + b"\1\1\0\0" + b"\xff" * 9 + b"\1" + b"\xff" * 9 + b"\1" + b"\1\1\1" + bytes(8) + b"\0"))


def zarr_chunks():
    """As zarr_fuzz.cpp takes them: form, text, chunk."""
    codecs = lambda *more: [{"name": "bytes", "configuration": {"endian": "little"}}, *more]
    text = lambda shape, chunk, chain, **more: json.dumps({"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "float32", "fill_value": 0, "codecs": chain,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}}, "chunk_key_encoding": {"name": "default"}, **more}, separators=(",", ":"))
    index = codecs({"name": "crc32c"})
    shard = lambda chunk: [{"name": "sharding_indexed", "configuration": {"chunk_shape": chunk, "codecs": codecs(), "index_codecs": index}}]
    v2 = {"chunks": [2], "compressor": None, "dtype": "<f4", "fill_value": 0, "filters": None, "order": "C", "shape": [2], "zarr_format": 2}
    put("zarr", "raw", b"\0" + text16(text([2, 3], [2, 3], codecs())) + text16(bytes(24)))
    put("zarr", "sum", b"\2" + text16(text([2, 3], [2, 3], codecs({"name": "crc32c"}))) + text16(bytes(24)))
    put("zarr", "gzip", b"\0" + text16(text([2, 3], [2, 3], codecs({"name": "gzip"}))) + text16(gzip.compress(bytes(24), mtime=0)))
    put("zarr", "turned", b"\0" + text16(text([2, 3], [2, 3], [{"name": "transpose", "configuration": {"order": [1, 0]}}] + codecs())) + text16(bytes(24)))
    put("zarr", "shard", b"\4" + text16(text([1, 2], [1, 2], shard([1, 2]))) + text16(bytes(8)))
    put("zarr", "shards", b"\0" + text16(text([4, 2], [4, 2], shard([2, 2]))) + text16(bytes(100)))
    put("zarr", "version2", b"\1" + text16(json.dumps(v2)) + text16(bytes(8)))
    put("zarr", "fortran", b"\1" + text16(json.dumps({**v2, "order": "F", "shape": [2, 2], "chunks": [2, 1]})) + text16(bytes(8)))
    put("zarr_json", "v3_shard", text([4, 2], [4, 2], shard([2, 2])))
    put("zarr_json", "v3_turned", text([2, 3], [2, 3], [{"name": "transpose", "configuration": {"order": [1, 0]}}] + codecs({"name": "zstd"})))


def chunk_codecs():
    """As chunk_codec_fuzz.cpp takes them: codec, how many bytes are expected less one, packed bytes."""
    import bz2
    import zlib

    values = b"some bytes, some bytes, some bytes"
    size = bytes([0, len(values) - 1])
    put("chunk_codec", "bz2", b"\1" + size + bz2.compress(values))
    put("chunk_codec", "gzip", b"\2" + size + gzip.compress(values, mtime=0))
    put("chunk_codec", "lz4", b"\3" + size + struct.pack("<I", len(values)) + b"\xc0some bytes, \x0c\x00\x60 bytes" )
    put("chunk_codec", "zlib", b"\4" + size + zlib.compress(values))
    put("chunk_codec", "zstd", b"\5" + size + b"\x28\xb5\x2f\xfd\x20" + bytes([len(values)]) + struct.pack("<I", len(values) << 3 | 1)[:3] + values)
    # Stored as it is: blosc's header, then the bytes.
    put("chunk_codec", "blosc", b"\0" + size + bytes([2, 1, 0x02, 1]) + struct.pack("<III", len(values), len(values), len(values) + 16) + values)


KINDS = (pickles, torch_files, safetensors, t5x, gin, zarr, torch_pickles, zips, t5x_folders, indices, folders, any_files,
         manifests, documents, expressions, patterns, plans, schemas, model_files, dcp, rank_folders, tensorflow_checkpoints, ocdbt_databases, zarr_chunks, chunk_codecs)
if __name__ == "__main__":
    torch.manual_seed(0)
    for kind in KINDS:
        if len(sys.argv) == 1 or kind.__name__ in sys.argv[1:]:
            kind()
