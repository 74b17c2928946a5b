#!/usr/bin/env python3
"""What one would otherwise do, each as a whole process: PyTorch, tensorstore, Python's re. Run by bench.py.

  rivals.py rename|transpose|bfloat16|float32 SOURCE OUT.safetensors     torch.load(mmap=True) or safetensors, then save_file
  rivals.py dcp SOURCE_FOLDER OUT.pt                                     torch's own dcp_to_torch_save
  rivals.py zero3 SOURCE_FOLDER OUT.safetensors                          what DeepSpeed's zero_to_fp32 does, then save_file
  rivals.py zero_to_fp32 SOURCE_FOLDER OUT_FOLDER                        DeepSpeed's own zero_to_fp32, as safetensors
  rivals.py switch SOURCE_FOLDER OUT.safetensors                         tensorstore, transposes, split by expert, save_file
  rivals.py names MANIFEST.json                                          re.sub of every key, with the scripts' patterns
"""
import json
import pathlib
import re
import sys
import time

# What the scripts for Switch Transformers, FLAVA and data2vec-audio look for; those for RoBERTa and X-MOD assign attribute by attribute.
PATTERNS = r"""
layers_(\d+) | /mlp/ | /pre_mlp_layer_norm/ | expert/ | /attention/ | /self_attention/ | /encoder_decoder_attention/ | value | query | key | out
pre_self_attention_layer_norm | pre_cross_attention_layer_norm | pre_attention_layer_norm | token_embedder | encoder_norm | decoder_norm
relpos_bias/rel_embedding | router/router_weights/w/ | logits_dense
post_extract_proj | self_attn\.k_proj | self_attn\.v_proj | self_attn\.q_proj | self_attn\.out_proj | self_attn_layer_norm
fc1 | fc2 | final_layer_norm | encoder\.layer_norm
"""


def load(source):
    """A flat state dict, mapped."""
    if source.endswith(".safetensors"):
        from safetensors.torch import load_file
        return load_file(source)
    import torch
    if hasattr(torch.serialization, "add_safe_globals"):
        import argparse
        torch.serialization.add_safe_globals([argparse.Namespace])
    return torch.load(source, mmap=True, weights_only=True)["model"]


def state_dict(operation, source, target):
    import torch
    from safetensors.torch import save_file
    seen, result = set(), {}
    for key, tensor in load(source).items():
        if tensor.data_ptr() in seen:  # tied
            continue
        seen.add(tensor.data_ptr())
        if operation == "transpose":
            tensor = tensor.t().contiguous()
        elif operation != "rename":
            tensor = tensor.to(getattr(torch, operation))
        result["model." + key] = tensor
    save_file(result, target, metadata={"format": "pt"})


def dcp(source, target):
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
    dcp_to_torch_save(source, target)


def zero3(source, target):
    import torch
    from safetensors.torch import save_file
    step = pathlib.Path(source) / (pathlib.Path(source) / "latest").read_text().strip()
    models = sorted(step.glob("*_model_states.pt"))
    shapes = torch.load(models[0], weights_only=False)["param_shapes"]
    flats = [torch.cat(torch.load(file, mmap=True, weights_only=False)["optimizer_state_dict"]["fp32_flat_groups"])
             for file in sorted(step.glob("*_optim_states.pt"))]
    result, offset = {}, 0
    for name, shape in ((name, shape) for group in shapes for name, shape in group.items()):
        count = torch.Size(shape).numel()
        each = -(-count // len(flats))
        result["model." + name] = torch.cat([flat.narrow(0, offset, each) for flat in flats])[:count].view(shape).contiguous()
        offset += each
    save_file(result, target, metadata={"format": "pt"})


def zero_to_fp32(source, target):
    from deepspeed.utils.zero_to_fp32 import convert_zero_checkpoint_to_fp32_state_dict
    convert_zero_checkpoint_to_fp32_state_dict(source, target, safe_serialization=True)


def switch(source, target):
    import numpy
    import tensorstore
    from safetensors.numpy import save_file
    result = {}
    for folder in sorted(pathlib.Path(source).iterdir()):
        if not folder.is_dir():
            continue
        values = tensorstore.open({"driver": "zarr", "kvstore": {"driver": "file", "path": str(folder)}}).result().read().result()
        key = folder.name.removeprefix("target.")
        if values.ndim == 3:
            for expert in range(values.shape[0]):
                result[f"{key}.expert_{expert}"] = numpy.ascontiguousarray(values[expert].T)
        elif values.ndim == 2 and "embedding" not in key:
            result[key] = numpy.ascontiguousarray(values.T)
        else:
            result[key] = values
    save_file(result, target, metadata={"format": "pt"})


def names(manifest):
    patterns = [re.compile(pattern.strip()) for line in PATTERNS.strip().splitlines() for pattern in line.split("|")]
    assert len(patterns) == 30
    keys = []
    for key in json.loads(pathlib.Path(manifest).read_text())["tensors"]:
        numbers = re.search(r"\{0\.\.(\d+)\}", key)
        keys += [key.replace(numbers[0], str(i)) for i in range(int(numbers[1]) + 1)] if numbers else [key]
    start = time.perf_counter()
    for key in keys:
        for pattern in patterns:
            key = pattern.sub("x", key)
    print(time.perf_counter() - start)  # bench.py takes this in place of the whole process's time


if __name__ == "__main__":
    operation, *paths = sys.argv[1:]
    own = {"switch": switch, "names": names, "dcp": dcp, "zero3": zero3, "zero_to_fp32": zero_to_fp32}
    if operation in own:
        own[operation](*paths)
    else:
        state_dict(operation, *paths)
