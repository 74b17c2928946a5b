#!/usr/bin/env python3
"""Times the planning of a million keys against Python's re.sub with the patterns of the original conversion scripts on the same keys.

  tests/bench/plan_bench.py --remap build/release/remap --work /data/tmp

The manifest is that of a RoBERTa with 62,500 layers. For remap the whole process counts: reading the manifest, planning, checking
every target against the schema, folding and printing. For Python only the loop over keys and compiled patterns. Peak memory is given
for three sizes, so that its growth shows.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

# What the scripts for Switch Transformers, FLAVA and data2vec-audio look for; those for RoBERTa and X-MOD assign attribute by attribute.
PATTERNS = r"""
layers_(\d+) | /mlp/ | /pre_mlp_layer_norm/ | expert/ | /attention/ | /self_attention/ | /encoder_decoder_attention/ | value | query | key | out
pre_self_attention_layer_norm | pre_cross_attention_layer_norm | pre_attention_layer_norm | token_embedder | encoder_norm | decoder_norm
relpos_bias/rel_embedding | router/router_weights/w/ | logits_dense
heads\.cmd\.mim_head\.cls\.predictions | heads\.cmd\.mlm_head\.cls\.predictions | heads\.cmd\.itm_head\.cls | heads\.cmd\.itm_head\.pooler
heads\.cmd\.clip_head\.logit_scale | heads\.fairseq_mlm\.cls\.predictions | heads\.imagenet\.mim_head\.cls\.predictions | mm_text_projection
mm_image_projection | image_encoder\.module | text_encoder\.module | mm_encoder\.module\.encoder\.cls_token | mm_encoder\.module | text_projection
image_projection
post_extract_proj | models\.0\.layer_norm | self_attn\.k_proj | self_attn\.v_proj | self_attn\.q_proj | self_attn\.out_proj | self_attn_layer_norm
fc1 | fc2 | final_layer_norm | encoder\.layer_norm | w2v_model\.layer_norm | w2v_encoder\.proj | mask_emb
"""


def manifest(layers):
    """A folded manifest in fairseq's layout, and its keys."""
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
    keys = []
    for key in tensors:
        keys += [key.replace(f"{{0..{layers - 1}}}", str(i)) for i in range(layers)] if "{" in key else [key]
    return {"remap_manifest": 1, "folded": True, "format": "torch", "metadata": {"args": args}, "tensors": tensors}, keys


def run(remap, path):
    """Seconds and peak memory of one plan."""
    start = time.perf_counter()
    process = subprocess.Popen([remap, "plan", "--rules", "roberta", str(path)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{remap} failed")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remap", required=True, help="the program; build it with optimisation")
    parser.add_argument("--work", required=True, help="an existing folder")
    options = parser.parse_args()
    path = pathlib.Path(options.work) / "plan-bench.json"
    patterns = [re.compile(pattern.strip()) for line in PATTERNS.strip().splitlines() for pattern in line.split("|")]
    try:
        for layers in (625, 6250, 62500):
            made, keys = manifest(layers)
            path.write_text(json.dumps(made))
            seconds, memory = run(options.remap, path)
            print(f"{len(keys):9,} keys  remap plan {seconds:6.2f} s, {memory / 1e6:7.1f} MB at its peak, {memory / len(keys):6.0f} bytes a key", flush=True)
    finally:
        path.unlink(missing_ok=True)
    start = time.perf_counter()
    for key in keys:
        for pattern in patterns:
            key = pattern.sub("x", key)
    python = time.perf_counter() - start
    print(f"{len(keys):9,} keys  re.sub with {len(patterns)} patterns {python:6.2f} s; remap needs {seconds / python:.2f} of that")
    return 0 if seconds < python else 1


if __name__ == "__main__":
    sys.exit(main())
