#!/usr/bin/env python3
"""Manifests of published checkpoints, made from their dims alone: every key, dtype and shape, and no weights.

A manifest stands in for a checkpoint wherever no tensor data is needed, so a plan for a checkpoint of six terabytes
can be made, and tested, on a laptop.

    published.py NAME > manifest.json   one manifest
    published.py NAME --params > params.json   of a Llama, what its release says beside it
    published.py --list                 the names, with arrays, parameters and bytes
    published.py --check                compares these numbers with known ones; exit 1 if any differs
    published.py --committed            the files of rules/tests that are made from these manifests, and the name of each

The committed ones are made anew, in the root of the repository, with:

    tests/manifests/published.py --committed | while read -r file name; do
      tests/manifests/published.py "$name" > build/manifest.json &&
        remap inspect build/manifest.json --format folded > "rules/tests/$file"
    done
    remap test --update
"""
import json
import math
import sys

from families import FAMILIES, FAMILIES_KNOWN, FAMILIES_SMALL


class Tensors(list):
    """The tensors of a manifest; names are below `prefix`."""

    def __init__(self, prefix=""):
        super().__init__()
        self.prefix = prefix

    def add(self, name, *shape, dtype="F32", alias=None):
        tensor = {"key": self.prefix + name, "dtype": dtype, "shape": list(shape)}
        if alias:  # tensors of one alias share their bytes
            tensor["alias"] = alias
        self.append(tensor)

    def linear(self, name, *shape):
        self.add(name + ".weight", *shape)
        self.add(name + ".bias", shape[0])

    def norm(self, name, width):
        self.add(name + ".weight", width)
        self.add(name + ".bias", width)

    def fairseq_layer(self, layer, hidden, ffn, copies=False):
        if copies:  # the release 0.12.2 saves the layer a second time
            for name, shape in (("in_proj", (3 * hidden, hidden)), ("out_proj", (hidden, hidden)), ("fc1", (ffn, hidden)), ("fc2", (hidden, ffn))):
                self.add(layer + name + "_weight", *shape)
                self.add(layer + name + "_bias", shape[0])
        for projection in ("k_proj", "v_proj", "q_proj", "out_proj"):
            self.linear(layer + "self_attn." + projection, hidden, hidden)
        self.norm(layer + "self_attn_layer_norm", hidden)
        self.linear(layer + "fc1", ffn, hidden)
        self.linear(layer + "fc2", hidden, ffn)
        self.norm(layer + "final_layer_norm", hidden)


def manifest(file_format, metadata, tensors):
    return {"remap_manifest": 1, "format": file_format, "metadata": metadata, "tensors": tensors}


def roberta(layers, hidden, ffn, heads, vocab=50265, positions=514, classes=None):
    """fairseq RoBERTa in the layout of August 2019: one fused in_proj, keys below `decoder`; fine-tuned if it has classes.

    That the published files have this layout is seen in huggingface/transformers issue 1645 and fairseq issue 1320: once the
    projections were split, q_proj, k_proj and v_proj below `decoder` were missing. The head's name is the one in fairseq's
    README (roberta.predict('mnli', …)). The dtype of the files is not known.
    """
    tensors = Tensors("model.decoder.")
    tensors.add("sentence_encoder.embed_tokens.weight", vocab, hidden)
    tensors.add("sentence_encoder.embed_positions.weight", positions, hidden)
    for i in range(layers):
        layer = f"sentence_encoder.layers.{i}."
        tensors.add(layer + "self_attn.in_proj_weight", 3 * hidden, hidden)
        tensors.add(layer + "self_attn.in_proj_bias", 3 * hidden)
        tensors.linear(layer + "self_attn.out_proj", hidden, hidden)
        tensors.norm(layer + "self_attn_layer_norm", hidden)
        tensors.linear(layer + "fc1", ffn, hidden)
        tensors.linear(layer + "fc2", hidden, ffn)
        tensors.norm(layer + "final_layer_norm", hidden)
    tensors.norm("sentence_encoder.emb_layer_norm", hidden)
    masked_lm_head(tensors, "lm_head", hidden, vocab)
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
    if classes:
        tensors.prefix = "model.classification_heads.mnli."
        tensors.linear("dense", hidden, hidden)
        tensors.linear("out_proj", classes, hidden)
        args |= {"task": "sentence_prediction", "criterion": "sentence_prediction", "num_classes": classes}
    return manifest("torch", {"args": args}, tensors)


def masked_lm_head(tensors, name, hidden, vocab):
    tensors.linear(name + ".dense", hidden, hidden)
    tensors.norm(name + ".layer_norm", hidden)
    tensors.add(name + ".weight", vocab, hidden)
    tensors.add(name + ".bias", vocab)


XMOD_81 = (  # in fairseq's order, which numbers them in config.json
    "en_XX id_ID vi_VN ru_RU fa_IR sv_SE ja_XX fr_XX de_DE ro_RO ko_KR hu_HU es_XX fi_FI uk_UA da_DK pt_XX no_XX th_TH pl_PL bg_BG "
    "nl_XX zh_CN he_IL el_GR it_IT sk_SK hr_HR tr_TR ar_AR cs_CZ lt_LT hi_IN zh_TW ca_ES ms_MY sl_SI lv_LV ta_IN bn_IN et_EE az_AZ "
    "sq_AL sr_RS kk_KZ ka_GE tl_XX ur_PK is_IS hy_AM ml_IN mk_MK be_BY la_VA te_IN eu_ES gl_ES mn_MN kn_IN ne_NP sw_KE si_LK mr_IN "
    "af_ZA gu_IN cy_GB eo_EO km_KH ky_KG uz_UZ ps_AF pa_IN ga_IE ha_NG am_ET lo_LA ku_TR so_SO my_MM or_IN sa_IN"
).split()


def xmod(layers, hidden, ffn, heads, languages, reduction=2, prenorm=False, vocab=250002, positions=514, copies=False):
    """fairseq X-MOD as fairseq 0.12 saves it, with the flags of its architectures xmod_base and xmod_large_prenorm.
    lm_head.weight has no alias: what was trained in half precision is widened on saving, one tensor after the other, and the
    embedding is then there twice."""
    tensors = Tensors("model.encoder.")
    tensors.add("sentence_encoder.version", 1)
    tensors.add("sentence_encoder.embed_tokens.weight", vocab, hidden)
    tensors.add("sentence_encoder.embed_positions.weight", positions, hidden)
    tensors.norm("sentence_encoder.layernorm_embedding", hidden)
    for i in range(layers):
        layer = f"sentence_encoder.layers.{i}."
        tensors.fairseq_layer(layer, hidden, ffn, copies)
        if prenorm:
            tensors.norm(layer + "adapter_layer_norm", hidden)
        for language in languages:
            adapter = f"{layer}adapter_modules.{language}."
            tensors.linear(adapter + "fc1", hidden // reduction, hidden)
            tensors.linear(adapter + "fc2", hidden, hidden // reduction)
    if prenorm:
        tensors.norm("sentence_encoder.layer_norm", hidden)
    masked_lm_head(tensors, "lm_head", hidden, vocab)
    arch = "xmod_large_prenorm" if prenorm else "xmod_base"
    model = {
        "_name": arch,
        "arch": arch,
        "task": "multilingual_masked_lm",
        "criterion": "masked_lm",
        "max_positions": positions - 2,
        "encoder_layers": layers,
        "encoder_embed_dim": hidden,
        "encoder_ffn_embed_dim": ffn,
        "encoder_attention_heads": heads,
        "encoder_normalize_before": prenorm,
        "encoder_layers_to_keep": None,
        "layernorm_embedding": True,
        "no_scale_embedding": True,
        "activation_fn": "gelu",
        "pooler_activation_fn": "tanh",
        "ffn_modules": False,
        "adapter_modules": True,
        "adapter_layer_norm": prenorm,
        "adapter_reuse_layer_norm": not prenorm,
        "ln_before_adapter": not prenorm,
        "languages": languages,
    }
    if reduction != 2:
        model["bottleneck"] = reduction
    return manifest("torch", {"args": None, "cfg": {"model": model}}, tensors)


# dict.ltr.txt of wav2vec 2.0 and data2vec: the letters by their frequency in LibriSpeech.
LETTERS = ["<s>", "<pad>", "</s>", "<unk>", *"|ETAONIHSRDLUMWCFGYPBVK'XJQZ"]


def data2vec_audio(layers, hidden, ffn, heads, finetuning=None, depth=5, positions=95, groups=16):
    """fairseq data2vec-audio: pretrained, with the teacher (_ema) and the head of pretraining in the spelling of 2022, or
    fine-tuned with CTC. Its settings are those of fairseq's audio/pretraining/base_librispeech.yaml; for the large model,
    whose file was not published, with its dims only. `finetuning` is what differs in wav2vec/config/finetuning/*_960h.yaml."""
    convs = [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2
    tensors = Tensors("model.w2v_encoder.w2v_model." if finetuning else "model.")
    width = 1
    for i, (channels, kernel, _) in enumerate(convs):
        tensors.add(f"feature_extractor.conv_layers.{i}.0.weight", channels, width, kernel)
        tensors.norm(f"feature_extractor.conv_layers.{i}.2.1", channels)
        width = channels
    tensors.norm("layer_norm", width)
    tensors.linear("post_extract_proj", hidden, width)
    tensors.add("mask_emb", hidden)
    for encoder in ("encoder.",) if finetuning else ("encoder.", "_ema."):
        for i in range(depth):
            tensors.linear(f"{encoder}pos_conv.{i}.0", hidden, hidden // groups, max(3, positions // depth))
        tensors.norm(encoder + "layer_norm", hidden)
        for i in range(layers):
            layer = f"{encoder}layers.{i}."
            tensors.fairseq_layer(layer, hidden, ffn)
    settings = {
        "_name": "data2vec_audio",
        "extractor_mode": "layer_norm",
        "encoder_layers": layers,
        "encoder_embed_dim": hidden,
        "encoder_ffn_embed_dim": ffn,
        "encoder_attention_heads": heads,
        "activation_fn": "gelu",
        "layer_type": "transformer",
        "layer_norm_first": False,
        "conv_feature_layers": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
        "conv_bias": False,
        "conv_pos": positions,
        "conv_pos_groups": groups,
        "pos_conv_depth": depth,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.0,
        "encoder_layerdrop": 0.05,
        "dropout_input": 0.0,
        "mask_prob": 0.65,
        "mask_length": 10,
        "mask_channel_prob": 0.0,
        "mask_channel_length": 10,
    }
    audio = {"normalize": True, "sample_rate": 16000}
    pretraining = {"model": settings, "task": {"_name": "audio_pretraining", **audio}}
    if not finetuning:
        tensors.linear("final_proj.0", hidden, hidden)
        return manifest("torch", {"args": None, "cfg": pretraining}, tensors)
    tensors.prefix = "model."
    tensors.linear("w2v_encoder.proj", len(LETTERS), hidden)
    model = {
        "_name": "wav2vec_ctc",
        "w2v_args": pretraining,
        "blank_weight": 0.0,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "activation_dropout": 0.1,
        "dropout_input": 0.0,
        "final_dropout": 0.0,
        "layerdrop": 0.1,
        "apply_mask": True,
        "mask_prob": 0.5,
        "mask_length": 10,
        "mask_channel_length": 64,
        **finetuning,
    }
    # fairseq refuses fine-tuning with another `normalize` than pretraining, whatever base_960h.yaml says
    cfg = {"model": model, "task": {"_name": "audio_finetuning", **audio}, "criterion": {"_name": "ctc", "zero_infinity": True}}
    dictionary = {"$object": "fairseq.data.dictionary.Dictionary", "state": {"symbols": LETTERS}}
    return manifest("torch", {"args": None, "cfg": cfg, "task_state": {"target_dictionary": dictionary}}, tensors)


def flava(hidden=768, ffn=3072, layers=(12, 12, 6), vocab=30522, positions=512, types=2, image=224, patch=16, codes=8192, projection=768):
    """mmf FLAVA as the original script reads it: flat, with what mmf's modules hold under two names."""
    tensors = Tensors()

    for encoder, depth in zip(("text", "image", "mm"), layers):
        module = f"{encoder}_encoder.module."
        for i in range(depth):
            layer = f"{module}encoder.layer.{i}."
            for projected in ("query", "key", "value"):
                tensors.linear(f"{layer}attention.attention.{projected}", hidden, hidden)
            tensors.linear(layer + "attention.output.dense", hidden, hidden)
            tensors.linear(layer + "intermediate.dense", ffn, hidden)
            tensors.linear(layer + "output.dense", hidden, ffn)
            tensors.norm(layer + "layernorm_before", hidden)
            tensors.norm(layer + "layernorm_after", hidden)
        tensors.norm(module + "layernorm", hidden)
        tensors.linear(module + "pooler.dense", hidden, hidden)
    tensors.add("mm_encoder.module.encoder.cls_token", 1, 1, hidden)

    def embedding(encoder, name, *shape, dtype="F32"):
        alias = f"{encoder}_encoder.embeddings.{name}"
        tensors.add(alias, *shape, dtype=dtype, alias=alias)
        tensors.add(f"{encoder}_encoder.module.embeddings.{name}", *shape, dtype=dtype, alias=alias)

    embedding("text", "word_embeddings.weight", vocab, hidden)
    embedding("text", "position_embeddings.weight", positions, hidden)
    embedding("text", "token_type_embeddings.weight", types, hidden)
    embedding("text", "LayerNorm.weight", hidden)
    embedding("text", "LayerNorm.bias", hidden)
    embedding("text", "position_ids", 1, positions, dtype="I64")
    embedding("image", "cls_token", 1, 1, hidden)
    embedding("image", "mask_token", 1, 1, hidden)
    embedding("image", "position_embeddings", 1, (image // patch) ** 2 + 1, hidden)
    embedding("image", "patch_embeddings.projection.weight", hidden, 3, patch, patch)
    embedding("image", "patch_embeddings.projection.bias", hidden)

    for modality in ("text", "image"):
        tensors.linear(f"mm_{modality}_projection", hidden, hidden)
        tensors.linear(f"{modality}_projection", projection, hidden)
    tensors.add("heads.cmd.clip_head.logit_scale")
    tensors.linear("heads.cmd.itm_head.pooler.dense", hidden, hidden)
    tensors.linear("heads.cmd.itm_head.cls.seq_relationship", 2, hidden)
    for head, size in {"fairseq_mlm": vocab, "cmd.mlm_head": vocab, "imagenet.mim_head": codes, "cmd.mim_head": codes}.items():
        predictions = f"heads.{head}.cls.predictions."
        tensors.add(predictions + "bias", size, alias=predictions + "bias")
        tensors.add(predictions + "decoder.bias", size, alias=predictions + "bias")
        tensors.add(predictions + "decoder.weight", size, hidden)
        tensors.linear(predictions + "transform.dense", hidden, hidden)
        tensors.norm(predictions + "transform.LayerNorm", hidden)
    return manifest("torch", {}, tensors)


def dall_e_encoder(width=256, blocks=2, codes=8192, channels=3):
    """DALL-E's encoder.pkl, the pickled module, whose attributes are metadata."""
    tensors = Tensors("blocks.")

    def conv(name, n_out, n_in, kernel):
        tensors.add(name + ".w", n_out, n_in, kernel, kernel)
        tensors.add(name + ".b", n_out)

    conv("input", width, channels, 7)
    n_in = width
    for g in range(1, 5):
        n_out = width * 2 ** (g - 1)
        for b in range(1, blocks + 1):
            block = f"group_{g}.block_{b}."
            if n_in != n_out:
                conv(block + "id_path", n_out, n_in, 1)
            conv(block + "res_path.conv_1", n_out // 4, n_in, 3)
            conv(block + "res_path.conv_2", n_out // 4, n_out // 4, 3)
            conv(block + "res_path.conv_3", n_out // 4, n_out // 4, 3)
            conv(block + "res_path.conv_4", n_out, n_out // 4, 1)
            n_in = n_out
    conv("output.conv", codes, n_in, 1)
    attributes = {"n_hid": width, "n_blk_per_group": blocks, "input_channels": channels, "vocab_size": codes}
    return manifest("torch", {"$module": "dall_e.encoder.Encoder", **attributes}, tensors)


def switch(experts, layers, step, d_model, d_ff, heads, d_kv=64, vocab=32128, buckets=32, gated=False, tied=True):
    """T5X Switch Transformers. Layer i of both stacks has experts if i % step == step - 1."""
    tensors = Tensors("target/")
    add = tensors.add
    inner = heads * d_kv
    wi = ["wi_0", "wi_1"] if gated else ["wi"]

    add("token_embedder/embedding", vocab, d_model)

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
    return manifest("t5x", {"version": 3, "gin": gin}, tensors)


def llama(files, layers, dim, heads, ffn, vocab, by_rows=False, kv_heads=None, freqs=True, **params):
    """Meta's release: `files` files with the same keys, each with its cut of every matrix."""
    head = dim // heads
    kv = (kv_heads or heads) * head
    tensors = []
    for rank in range(files):

        def add(name, *shape):
            tensors.append({"key": f"consolidated.{rank:02}.pth/{name}", "dtype": "BF16", "shape": list(shape)})

        add("tok_embeddings.weight", *((vocab // files, dim) if by_rows else (vocab, dim // files)))
        for i in range(layers):
            layer = f"layers.{i}."
            add(layer + "attention.wq.weight", dim // files, dim)
            add(layer + "attention.wk.weight", kv // files, dim)
            add(layer + "attention.wv.weight", kv // files, dim)
            add(layer + "attention.wo.weight", dim, dim // files)
            add(layer + "feed_forward.w1.weight", ffn // files, dim)
            add(layer + "feed_forward.w2.weight", dim, ffn // files)
            add(layer + "feed_forward.w3.weight", ffn // files, dim)
            add(layer + "attention_norm.weight", dim)
            add(layer + "ffn_norm.weight", dim)
        add("norm.weight", dim)
        add("output.weight", vocab // files, dim)
        if freqs:
            add("rope.freqs", head // 2)
    params = {"dim": dim, "n_layers": layers, "n_heads": heads, "norm_eps": 1e-05, "vocab_size": vocab if by_rows else -1, **params}
    if kv_heads:
        params["n_kv_heads"] = kv_heads
    return {"remap_manifest": 1, "format": "torch", "metadata": {}, "tensors": tensors, "params": params}


LLAMA3 = dict(vocab=128256, by_rows=True, kv_heads=8, freqs=False, rope_theta=500000.0)

BASE = dict(layers=12, step=2, d_model=768, d_ff=3072, heads=12)
LARGE = dict(layers=24, step=2, d_model=1024, d_ff=4096, heads=16)
XXL = dict(layers=24, step=2, d_model=4096, d_ff=10240, heads=64, gated=True, tied=False)
C = dict(layers=15, step=1, d_model=2080, d_ff=6144, heads=30, tied=False)

ROBERTA_BASE = dict(layers=12, hidden=768, ffn=3072, heads=12)
ROBERTA_LARGE = dict(layers=24, hidden=1024, ffn=4096, heads=16)
# wav2vec/config/finetuning: base_960h.yaml and vox_960h.yaml
BASE_960H = {"mask_channel_prob": 0.1}
LARGE_960H = {"mask_channel_prob": 0.25}

PUBLISHED = {
    "roberta.base": lambda: roberta(**ROBERTA_BASE),
    "roberta.large": lambda: roberta(**ROBERTA_LARGE),
    "roberta.large.mnli": lambda: roberta(**ROBERTA_LARGE, classes=3),
    "xmod-base": lambda: xmod(**ROBERTA_BASE, languages=XMOD_81),
    "xmod-large-prenorm": lambda: xmod(**ROBERTA_LARGE, languages=XMOD_81, reduction=4, prenorm=True),
    "data2vec-audio-base": lambda: data2vec_audio(**ROBERTA_BASE),
    "data2vec-audio-large": lambda: data2vec_audio(**ROBERTA_LARGE),
    "data2vec-audio-base-960h": lambda: data2vec_audio(**ROBERTA_BASE, finetuning=BASE_960H),
    "data2vec-audio-large-960h": lambda: data2vec_audio(**ROBERTA_LARGE, finetuning=LARGE_960H),
    "flava-full": flava,
    "dall-e-encoder": dall_e_encoder,
    **{f"switch-base-{n}": lambda n=n: switch(n, **BASE) for n in (8, 16, 32, 64, 128, 256)},
    "switch-large-128": lambda: switch(128, **LARGE),
    "switch-xxl-128": lambda: switch(128, **XXL),
    "switch-c-2048": lambda: switch(2048, **C),
    "llama-2-13b": lambda: llama(2, layers=40, dim=5120, heads=40, ffn=13824, vocab=32000, multiple_of=256),
    "llama-2-70b": lambda: llama(8, layers=80, dim=8192, heads=64, ffn=28672, vocab=32000, kv_heads=8, multiple_of=4096, ffn_dim_multiplier=1.3),
    "llama-3.1-405b": lambda: llama(8, layers=126, dim=16384, heads=128, ffn=53248, multiple_of=4096, ffn_dim_multiplier=1.2, use_scaled_rope=True, **LLAMA3),
    "llama-3.2-1b": lambda: llama(1, layers=16, dim=2048, heads=32, ffn=8192, multiple_of=256, ffn_dim_multiplier=1.5, use_scaled_rope=True, **LLAMA3),
}

# File below rules/tests, manifest.
COMMITTED = {
    **{f"roberta/{name}.json": name for name in ("roberta.base", "roberta.large", "roberta.large.mnli")},
    **{f"xmod/{name}.json": name for name in ("xmod-base", "xmod-large-prenorm")},
    "xmod/small-0.12.2.json": "xmod-small-0.12.2",
    **{f"data2vec-audio/data2vec-audio-{name}.json": f"data2vec-audio-{name}" for name in ("base", "large", "base-960h", "large-960h")},
    "flava/flava-full.json": "flava-full",
    "flava/flava-full+codebook.json": "dall-e-encoder",
    **{f"llama/{name}.json": name for name in ("llama-2-13b", "llama-2-70b", "llama-3.2-1b")},
    "roberta/small-mnli.json": "roberta-small-mnli",
    "data2vec-audio/data2vec-audio-small-ctc.json": "data2vec-audio-small-ctc",
    "flava/flava-small.json": "flava-small",
    "flava/flava-small+codebook.json": "dall-e-encoder-small",
    **{f"llama/{name}.json": name for name in ("llama-small", "llama-small-rows")},
    "switch/switch-small-width.json": "switch-small-width",
    **{f"switch/{name}.json": name for name in ("switch-base-8", "switch-base-256", "switch-xxl-128", "switch-c-2048")},
}
PUBLISHED |= {name.split("/")[1]: make for name, make in FAMILIES.items()}
COMMITTED |= {f"{name}.json": name.split("/")[1] for name in FAMILIES | FAMILIES_SMALL}

# Not published: small ones for tests, which edit them.
SMALL = {
    "roberta-small": lambda: roberta(layers=2, hidden=8, ffn=16, heads=2, vocab=20),
    "roberta-small-mnli": lambda: roberta(layers=2, hidden=12, ffn=20, heads=2, vocab=30, positions=14, classes=3),
    "data2vec-audio-small-ctc": lambda: data2vec_audio(layers=2, hidden=48, ffn=40, heads=2, finetuning=LARGE_960H),
    "flava-small": lambda: flava(layers=(2, 2, 2), vocab=30, positions=14, image=32, codes=18),
    "dall-e-encoder-small": lambda: dall_e_encoder(width=8, codes=18),
    "llama-small": lambda: llama(2, layers=2, dim=16, heads=2, ffn=48, vocab=30, multiple_of=8),
    "llama-small-rows": lambda: llama(1, layers=2, dim=16, heads=4, ffn=48, vocab=30, by_rows=True, kv_heads=2, freqs=False, rope_theta=500000.0, multiple_of=8, use_scaled_rope=True),
    "xmod-small-0.12.2": lambda: xmod(layers=2, hidden=8, ffn=16, heads=2, languages=["en_XX", "de_DE"], vocab=20, copies=True),
    "switch-small": lambda: switch(2, layers=4, step=2, d_model=8, d_ff=16, heads=2, d_kv=4, vocab=20),
    "switch-small-width": lambda: switch(2, layers=4, step=2, d_model=12, d_ff=20, heads=2, d_kv=32, vocab=30),
    "switch-small-untied": lambda: switch(2, layers=4, step=2, d_model=8, d_ff=16, heads=2, d_kv=4, vocab=20, tied=False),
    **{name.split("/")[1]: make for name, make in FAMILIES_SMALL.items()},
    "switch-small-step-4": lambda: switch(2, layers=8, step=4, d_model=8, d_ff=16, heads=2, d_kv=4, vocab=20),
}

# Arrays, arrays with experts counted one by one, parameters, bytes of the largest array.
#
# Switch: computed with the original JAX modules. RoBERTa: the published 125 M and 355 M, exactly, with the tied head stored
# twice. The others begin with what the classes of transformers 4.38.2 hold in the published configuration (numel of all of
# model.parameters(): XmodForMaskedLM, Data2VecAudioModel and ForCTC, FlavaForPreTraining, FlavaImageCodebook,
# RobertaForSequenceClassification). Then comes what only one side has: the row of token types, which the script invents; the
# language-model head beside a classifier; the embedding again as the head's matrix; `version`; the head of pretraining, and the
# teacher, which is the encoder without what leads into it; what FLAVA holds under two names, and its position_ids. Llama's parameters
# count every file's norms and frequencies.
LM_HEAD = 1024 * 1024 + 1024 + 2 * 1024 + 50_265 + 50_265 * 1024
CONVS = 512 * 10 + 4 * 512 * 512 * 3 + 2 * 512 * 512 * 2 + 7 * 1024 + 1024  # of data2vec-audio, with both kinds of norm
FLAVA_TWICE = (30_522 + 512 + 2 + 2) * 768 + 2 * 512 + (1 + 1 + 197) * 768 + (3 * 16 * 16 + 1) * 768 + 2 * 30_522 + 2 * 8192
KNOWN = {
    "roberta.base": (154, 154, 163_300_185, 154_414_080),
    "roberta.large": (298, 298, 406_882_393, 205_885_440),
    "roberta.large.mnli": (302, 302, 355_362_819 - 1024 + LM_HEAD, 205_885_440),
    "xmod-base": (4091, 4091, 852_723_858 - 768 + 250_002 * 768 + 1, 768_006_144),
    "xmod-large-prenorm": (8221, 8221, 1_581_897_874 - 1024 + 250_002 * 1024 + 1, 1_024_008_192),
    "data2vec-audio-base": (436, 436, 93_164_288 + 769 * 768 + (93_164_288 - CONVS - 514 * 768), 9_437_184),
    "data2vec-audio-large": (820, 820, 313_276_416 + 1025 * 1024 + (313_276_416 - CONVS - 514 * 1024), 16_777_216),
    "data2vec-audio-base-960h": (232, 232, 93_188_896, 9_437_184),
    "data2vec-audio-large-960h": (424, 424, 313_309_216, 16_777_216),
    "flava-full": (556, 556, 357_645_303 - 53_786_240 + FLAVA_TWICE, 93_763_584),
    "dall-e-encoder": (74, 74, 53_786_240, 67_108_864),
    "switch-base-8": (269, 437, 619_339_008, 98_697_216),
    "switch-base-16": (269, 629, 1_072_397_568, 150_994_944),
    "switch-base-32": (269, 1_013, 1_978_514_688, 301_989_888),
    "switch-base-64": (269, 1_781, 3_790_748_928, 603_979_776),
    "switch-base-128": (269, 3_317, 7_415_217_408, 1_207_959_552),
    "switch-base-256": (269, 6_389, 14_664_154_368, 2_415_919_104),
    "switch-large-128": (533, 6_629, 26_309_291_008, 2_147_483_648),
    "switch-xxl-128": (582, 9_726, 394_675_073_024, 21_474_836_480),
    "switch-c-2048": (351, 123_171, 1_571_327_875_360, 104_689_827_840),
    "llama-2-13b": (728, 728, 13_016_279_168, 163_840_000),
    "llama-2-70b": (5792, 5792, 68_985_881_088, 65_536_000),
    "llama-3.1-405b": (9096, 9096, 405_882_404_864, 525_336_576),
    "llama-3.2-1b": (147, 147, 1_498_482_688, 525_336_576),
}


KNOWN |= FAMILIES_KNOWN

BYTES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}


def numbers(made):
    tensors = made["tensors"]
    sizes = [math.prod(t["shape"]) for t in tensors]
    split = sum(t["shape"][0] if "/expert/" in t["key"] else 1 for t in tensors)
    return len(tensors), split, sum(sizes), max(BYTES[t["dtype"]] * size for t, size in zip(tensors, sizes))


def main(arguments):
    if arguments == ["--list"]:
        for name, make in PUBLISHED.items():
            made = make()
            arrays, _, parameters, _ = numbers(made)
            size = sum(BYTES[t["dtype"]] * math.prod(t["shape"]) for t in made["tensors"])
            print(f"{name:25} {arrays:5} arrays {parameters:17,} parameters {size:17,} bytes")
        return 0
    if arguments == ["--check"]:
        wrong = [name for name, make in PUBLISHED.items() if numbers(make()) != KNOWN[name]]
        for name in wrong:
            print(f"{name}: {numbers(PUBLISHED[name]())}, but known is {KNOWN[name]}", file=sys.stderr)
        return 1 if wrong else 0
    if arguments == ["--committed"]:
        for file, name in COMMITTED.items():
            print(file, name)
        return 0
    if len(arguments) in (1, 2) and arguments[0] in PUBLISHED | SMALL and arguments[1:] in ([], ["--params"]):
        made = (PUBLISHED | SMALL)[arguments[0]]()
        params = made.pop("params", None)
        if arguments[1:]:
            print(json.dumps(params))
            return 0
        made["tensors"].sort(key=lambda t: t["key"])
        json.dump(made, sys.stdout)
        print()
        return 0
    print(__doc__.strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
