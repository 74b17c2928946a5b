#!/usr/bin/env python3
"""Manifests of published checkpoints, made from their dims alone: every key, dtype and shape, and no weights.

A manifest stands in for a checkpoint wherever no tensor data is needed, so a plan for a checkpoint of six terabytes
can be made, and tested, on a laptop.

    published.py NAME > manifest.json   one manifest
    published.py --list                 the names, with arrays, parameters and bytes
    published.py --check                compares these numbers with known ones; exit 1 if any differs
"""
import json
import math
import sys


def tensor(key, *shape):
    return {"key": key, "dtype": "F32", "shape": list(shape)}


def roberta(layers, hidden, ffn, heads, vocab=50265, positions=514):
    """fairseq RoBERTa in the layout of August 2019: one fused in_proj, keys below `decoder`."""
    tensors = []

    def add(name, *shape):
        tensors.append(tensor("model.decoder." + name, *shape))

    def linear(name, n_out, n_in):
        add(name + ".weight", n_out, n_in)
        add(name + ".bias", n_out)

    def norm(name):
        add(name + ".weight", hidden)
        add(name + ".bias", hidden)

    add("sentence_encoder.embed_tokens.weight", vocab, hidden)
    add("sentence_encoder.embed_positions.weight", positions, hidden)
    for i in range(layers):
        layer = f"sentence_encoder.layers.{i}."
        add(layer + "self_attn.in_proj_weight", 3 * hidden, hidden)
        add(layer + "self_attn.in_proj_bias", 3 * hidden)
        linear(layer + "self_attn.out_proj", hidden, hidden)
        norm(layer + "self_attn_layer_norm")
        linear(layer + "fc1", ffn, hidden)
        linear(layer + "fc2", hidden, ffn)
        norm(layer + "final_layer_norm")
    norm("sentence_encoder.emb_layer_norm")
    linear("lm_head.dense", hidden, hidden)
    norm("lm_head.layer_norm")
    add("lm_head.weight", vocab, hidden)
    add("lm_head.bias", vocab)
    args = {
        "arch": "roberta_large" if layers == 24 else "roberta_base",
        "task": "masked_lm",
        "criterion": "masked_lm",
        "max_positions": positions - 2,
        "encoder_layers": layers,
        "encoder_embed_dim": hidden,
        "encoder_ffn_embed_dim": ffn,
        "encoder_attention_heads": heads,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_fn": "gelu",
        "pooler_activation_fn": "tanh",
        "activation_dropout": 0.0,
        "pooler_dropout": 0.0,
    }
    return {"remap_manifest": 1, "format": "torch", "metadata": {"args": args}, "tensors": tensors}


def switch(experts, layers, step, d_model, d_ff, heads, d_kv=64, vocab=32128, buckets=32, gated=False, tied=True):
    """T5X Switch Transformers. Layer i of both stacks has experts if i % step == step - 1."""
    tensors = [tensor("target/token_embedder/embedding", vocab, d_model)]
    inner = heads * d_kv
    wi = ["wi_0", "wi_1"] if gated else ["wi"]

    def add(name, *shape):
        tensors.append(tensor("target/" + name, *shape))

    def attention(name):
        for projection in ("query", "key", "value"):
            add(f"{name}/{projection}/kernel", d_model, inner)
        add(f"{name}/out/kernel", inner, d_model)

    for stack in ("encoder", "decoder"):
        for i in range(layers):
            layer = f"{stack}/layers_{i}/"
            if stack == "encoder":
                add(layer + "pre_attention_layer_norm/scale", d_model)
                attention(layer + "attention")
            else:
                add(layer + "pre_self_attention_layer_norm/scale", d_model)
                attention(layer + "self_attention")
                add(layer + "pre_cross_attention_layer_norm/scale", d_model)
                attention(layer + "encoder_decoder_attention")
            add(layer + "pre_mlp_layer_norm/scale", d_model)
            if i % step == step - 1:
                add(layer + "mlp/router/router_weights/w/kernel", d_model, experts)
                for w in wi:
                    add(f"{layer}mlp/expert/{w}/kernel", experts, d_model, d_ff)
                add(layer + "mlp/expert/wo/kernel", experts, d_ff, d_model)
            else:
                for w in wi:
                    add(f"{layer}mlp/{w}/kernel", d_model, d_ff)
                add(layer + "mlp/wo/kernel", d_ff, d_model)
        add(f"{stack}/relpos_bias/rel_embedding", heads, buckets)
        add(f"{stack}/{stack}_norm/scale", d_model)
    if not tied:
        add("decoder/logits_dense/kernel", d_model, vocab)

    activations = ["gelu", "linear"] if gated else ["relu"]
    gin = {  # macros resolved, as the reader gives them
        "EMBED_DIM": d_model,
        "HEAD_DIM": d_kv,
        "MLP_DIM": d_ff,
        "EXPERT_MLP_DIM": d_ff,
        "NUM_EMBEDDINGS": vocab,
        "NUM_HEADS": heads,
        "NUM_ENCODER_LAYERS": layers,
        "NUM_DECODER_LAYERS": layers,
        "NUM_ENCODER_SPARSE_LAYERS": layers // step,
        "NUM_DECODER_SPARSE_LAYERS": layers // step,
        "NUM_EXPERTS": experts,
        "NUM_SELECTED_EXPERTS": 1,
        "dense.MlpBlock.activations": activations,
        "expert/dense.MlpBlock.activations": activations,
    }
    return {"remap_manifest": 1, "format": "t5x", "metadata": {"version": 3, "gin": gin}, "tensors": tensors}


BASE = dict(layers=12, step=2, d_model=768, d_ff=3072, heads=12)
LARGE = dict(layers=24, step=2, d_model=1024, d_ff=4096, heads=16)
XXL = dict(layers=24, step=2, d_model=4096, d_ff=10240, heads=64, gated=True, tied=False)
C = dict(layers=15, step=1, d_model=2080, d_ff=6144, heads=30, tied=False)

PUBLISHED = {
    "roberta.base": lambda: roberta(layers=12, hidden=768, ffn=3072, heads=12),
    "roberta.large": lambda: roberta(layers=24, hidden=1024, ffn=4096, heads=16),
    **{f"switch-base-{n}": lambda n=n: switch(n, **BASE) for n in (8, 16, 32, 64, 128, 256)},
    "switch-large-128": lambda: switch(128, **LARGE),
    "switch-xxl-128": lambda: switch(128, **XXL),
    "switch-c-2048": lambda: switch(2048, **C),
}

# Not published: small ones for tests, which edit them.
SMALL = {
    "roberta-small": lambda: roberta(layers=2, hidden=8, ffn=16, heads=2, vocab=20),
    "switch-small": lambda: switch(2, layers=4, step=2, d_model=8, d_ff=16, heads=2, d_kv=4, vocab=20),
    "switch-small-untied": lambda: switch(2, layers=4, step=2, d_model=8, d_ff=16, heads=2, d_kv=4, vocab=20, tied=False),
    "switch-small-step-4": lambda: switch(2, layers=8, step=4, d_model=8, d_ff=16, heads=2, d_kv=4, vocab=20),
}

# Arrays, arrays with experts counted one by one, parameters, bytes of the largest array. The Switch rows were computed
# with the original JAX modules; RoBERTa's are the published 125 M and 355 M, exactly, with the tied head stored twice.
KNOWN = {
    "roberta.base": (154, 154, 163_300_185, 154_414_080),
    "roberta.large": (298, 298, 406_882_393, 205_885_440),
    "switch-base-8": (269, 437, 619_339_008, 98_697_216),
    "switch-base-16": (269, 629, 1_072_397_568, 150_994_944),
    "switch-base-32": (269, 1_013, 1_978_514_688, 301_989_888),
    "switch-base-64": (269, 1_781, 3_790_748_928, 603_979_776),
    "switch-base-128": (269, 3_317, 7_415_217_408, 1_207_959_552),
    "switch-base-256": (269, 6_389, 14_664_154_368, 2_415_919_104),
    "switch-large-128": (533, 6_629, 26_309_291_008, 2_147_483_648),
    "switch-xxl-128": (582, 9_726, 394_675_073_024, 21_474_836_480),
    "switch-c-2048": (351, 123_171, 1_571_327_875_360, 104_689_827_840),
}


def numbers(manifest):
    tensors = manifest["tensors"]
    sizes = [math.prod(t["shape"]) for t in tensors]
    split = sum(t["shape"][0] if "/expert/" in t["key"] else 1 for t in tensors)
    return len(tensors), split, sum(sizes), 4 * max(sizes)


def main(arguments):
    if arguments == ["--list"]:
        for name, make in PUBLISHED.items():
            arrays, _, parameters, _ = numbers(make())
            print(f"{name:18} {arrays:4} arrays {parameters:17,} parameters {4 * parameters:17,} bytes")
        return 0
    if arguments == ["--check"]:
        wrong = [name for name, make in PUBLISHED.items() if numbers(make()) != KNOWN[name]]
        for name in wrong:
            print(f"{name}: {numbers(PUBLISHED[name]())}, but known is {KNOWN[name]}", file=sys.stderr)
        return 1 if wrong else 0
    if len(arguments) == 1 and arguments[0] in PUBLISHED | SMALL:
        manifest = (PUBLISHED | SMALL)[arguments[0]]()
        manifest["tensors"].sort(key=lambda t: t["key"])
        json.dump(manifest, sys.stdout)
        print()
        return 0
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
