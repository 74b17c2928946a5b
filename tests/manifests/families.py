"""Manifests of further published checkpoints, made from their dims: what published.py adds to its own. Settings are those that
the rules look at. A dtype that is not known is F32."""


class Keys(list):
    def __init__(self, prefix="", dtype="F32"):
        super().__init__()
        self.prefix, self.dtype = prefix, dtype

    def add(self, name, *shape):
        self.append({"key": self.prefix + name, "dtype": self.dtype, "shape": list(shape)})

    def linear(self, name, *shape):
        self.add(name + ".weight", *shape)
        self.add(name + ".bias", shape[0])

    def norm(self, name, width):
        self.linear(name, width)

    def kernel(self, name, n_in, n_out):
        self.add(name + "/kernel", n_in, n_out)
        self.add(name + "/bias", n_out)

    def tf_norm(self, name, width):
        self.add(name + "/gamma", width)
        self.add(name + "/beta", width)

    def variable(self, name, *shape):
        self.add(name + "/.ATTRIBUTES/VARIABLE_VALUE", *shape)

    def fairseq_layer(self, layer, hidden, ffn, cross=False, fused=False):
        for attention in ("self_attn", "encoder_attn") if cross else ("self_attn",):
            name = f"{layer}{attention}."
            if fused:
                self.add(name + "in_proj_weight", 3 * hidden, hidden)
                self.add(name + "in_proj_bias", 3 * hidden)
            else:
                for p in "kvq":
                    self.linear(f"{name}{p}_proj", hidden, hidden)
            self.linear(name + "out_proj", hidden, hidden)
            self.norm(f"{layer}{attention}_layer_norm", hidden)
        self.linear(layer + "fc1", ffn, hidden)
        self.linear(layer + "fc2", hidden, ffn)
        self.norm(layer + "final_layer_norm", hidden)


def manifest(file_format, metadata, tensors, **more):
    return {"remap_manifest": 1, "format": file_format, "metadata": metadata, "tensors": tensors, **more}


LETTERS = ["<s>", "<pad>", "</s>", "<unk>", *"|ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
CONVS = [(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512, 2, 2)] * 2


def speech(name, layers, hidden, ffn, heads, large=False, bias=False, ctc=False, final=256, codewords=504):
    """fairseq wav2vec 2.0 or HuBERT. `large`: a layer norm after each convolution, and layers that normalise first."""
    tensors = Keys("model.w2v_encoder.w2v_model." if ctc else "model.")
    width = 1
    for i, (channels, kernel, _) in enumerate(CONVS):
        convolution = f"feature_extractor.conv_layers.{i}."
        tensors.add(convolution + "0.weight", channels, width, kernel)
        if bias:
            tensors.add(convolution + "0.bias", channels)
        if large:
            tensors.norm(convolution + "2.1", channels)
        elif i == 0:
            tensors.norm(convolution + "2", channels)
        width = channels
    tensors.norm("layer_norm", width)
    tensors.linear("post_extract_proj", hidden, width)
    tensors.add("mask_emb", hidden)
    tensors.add("encoder.pos_conv.0.weight_g", 1, 1, 128)
    tensors.add("encoder.pos_conv.0.weight_v", hidden, hidden // 16, 128)
    tensors.add("encoder.pos_conv.0.bias", hidden)
    tensors.norm("encoder.layer_norm", hidden)
    for i in range(layers):
        tensors.fairseq_layer(f"encoder.layers.{i}.", hidden, ffn)
    settings = {
        "_name": name, "extractor_mode": "layer_norm" if large else "default", "layer_norm_first": large, "conv_bias": bias,
        "encoder_layers": layers, "encoder_embed_dim": hidden, "encoder_ffn_embed_dim": ffn, "encoder_attention_heads": heads,
        "activation_fn": "gelu", "conv_feature_layers": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]",
        "conv_pos": 128, "conv_pos_groups": 16, "final_dim": final, "dropout": 0.0 if large else 0.1,
        "attention_dropout": 0.0 if large else 0.1, "activation_dropout": 0.0, "encoder_layerdrop": 0.0 if large else 0.05,
        "dropout_input": 0.1, "dropout_features": 0.1, "mask_prob": 0.8 if name == "hubert" else 0.65,
    }
    if name == "wav2vec2":
        settings |= {"quantize_targets": True, "latent_vars": 320, "latent_groups": 2, "latent_dim": 0, "num_negatives": 100, "logit_temp": 0.1}
    task = {"normalize": large, "sample_rate": 16000}
    if not ctc:
        if name == "wav2vec2":
            tensors.add("quantizer.vars", 1, 640, final // 2)
            tensors.linear("quantizer.weight_proj", 640, width)
            tensors.linear("project_q", final, final)
        else:
            tensors.add("label_embs_concat", codewords, final)
        tensors.linear("final_proj", final, hidden)
        return manifest("torch", {"args": None, "cfg": {"model": settings, "task": task}}, tensors)
    if name == "hubert":
        tensors.add("label_embs_concat", codewords, final)
    tensors.prefix = "model."
    tensors.linear("w2v_encoder.proj", len(LETTERS), hidden)
    model = {
        "_name": "wav2vec_ctc" if name == "wav2vec2" else "hubert_ctc", "w2v_args": {"model": settings, "task": task},
        "apply_mask": True, "mask_prob": 0.5, "mask_channel_prob": 0.25, "mask_channel_length": 64, "activation_dropout": 0.1,
        "layerdrop": 0.1, "dropout": 0.0, "attention_dropout": 0.0, "dropout_input": 0.0, "final_dropout": 0.0, "blank_weight": 0.0,
    }
    dictionary = {"$object": "fairseq.data.dictionary.Dictionary", "state": {"symbols": LETTERS}}
    cfg = {"model": model, "task": task, "criterion": {"_name": "ctc", "zero_infinity": True}}
    return manifest("torch", {"args": None, "cfg": cfg, "task_state": {"target_dictionary": dictionary}}, tensors)


def translation(layers, hidden, ffn, heads, vocab, positions=None, before=False, embedding_norm=False, fused=False, classes=None, **args):
    """fairseq's encoder and decoder: BART (post-norm, learned positions), mBART (both, pre-norm), M2M-100 (sinusoids)."""
    tensors = Keys("model.")
    tensors.add("encoder.embed_tokens.weight", vocab, hidden)
    tensors.add("decoder.embed_tokens.weight", vocab, hidden)
    if not fused:
        tensors.add("decoder.output_projection.weight", vocab, hidden)
    for stack in ("encoder", "decoder"):
        tensors.add(f"{stack}.version", 1)
        if positions:
            tensors.add(f"{stack}.embed_positions.weight", positions + 2, hidden)
        if embedding_norm:
            tensors.norm(f"{stack}.layernorm_embedding", hidden)
        for i in range(layers):
            tensors.fairseq_layer(f"{stack}.layers.{i}.", hidden, ffn, stack == "decoder", fused)
        if before:
            tensors.norm(f"{stack}.layer_norm", hidden)
    if classes:
        tensors.linear("classification_heads.mnli.dense", hidden, hidden)
        tensors.linear("classification_heads.mnli.out_proj", classes, hidden)
    settings = {
        "encoder_layers": layers, "decoder_layers": layers, "encoder_embed_dim": hidden, "decoder_embed_dim": hidden,
        "encoder_ffn_embed_dim": ffn, "decoder_ffn_embed_dim": ffn, "encoder_attention_heads": heads, "decoder_attention_heads": heads,
        "encoder_normalize_before": before, "decoder_normalize_before": before, "dropout": 0.1, "attention_dropout": 0.1,
        "activation_dropout": 0.0, "activation_fn": "relu" if before and not embedding_norm else "gelu",
        "no_scale_embedding": not before, "pooler_activation_fn": "tanh", **args,
    }
    return manifest("torch", {"args": settings}, tensors)


def xlmr_xl(layers, hidden, ffn, heads, vocab=250880, positions=514, classes=None):
    """fairseq XLM-R XL and XXL: RoBERTa with layers that normalise first, and no norm after the embedding."""
    tensors = Keys("model.encoder.sentence_encoder.", "F16")
    tensors.add("version", 1)
    tensors.add("embed_tokens.weight", vocab, hidden)
    tensors.add("embed_positions.weight", positions, hidden)
    for i in range(layers):
        tensors.fairseq_layer(f"layers.{i}.", hidden, ffn)
    tensors.norm("layer_norm", hidden)
    tensors.prefix = "model.encoder.lm_head."
    tensors.linear("dense", hidden, hidden)
    tensors.norm("layer_norm", hidden)
    tensors.add("weight", vocab, hidden)
    tensors.add("bias", vocab)
    if classes:
        tensors.prefix = "model.classification_heads.mnli."
        tensors.linear("dense", hidden, hidden)
        tensors.linear("out_proj", classes, hidden)
    settings = {"_name": "roberta_prenorm", "task": "multilingual_masked_lm", "criterion": "masked_lm", "encoder_layers": layers, "encoder_embed_dim": hidden,
                "encoder_ffn_embed_dim": ffn, "encoder_attention_heads": heads, "encoder_normalize_before": True, "activation_fn": "gelu"}
    return manifest("torch", {"args": None, "cfg": {"model": settings}}, tensors)


def whisper(layers, width, heads, decoder_layers=None, vocab=51865, mels=80):
    tensors = Keys("model_state_dict.", "F16")
    tensors.linear("encoder.conv1", width, mels, 3)
    tensors.linear("encoder.conv2", width, width, 3)
    tensors.add("encoder.positional_embedding", 1500, width)
    tensors.norm("encoder.ln_post", width)
    tensors.add("decoder.token_embedding.weight", vocab, width)
    tensors.add("decoder.positional_embedding", 448, width)
    tensors.norm("decoder.ln", width)
    depth = {"encoder": layers, "decoder": decoder_layers or layers}
    for stack, n in depth.items():
        for i in range(n):
            block = f"{stack}.blocks.{i}."
            for attention in ("attn", "cross_attn")[: 1 if stack == "encoder" else 2]:
                for part in ("query", "value", "out"):
                    tensors.linear(f"{block}{attention}.{part}", width, width)
                tensors.add(f"{block}{attention}.key.weight", width, width)
                tensors.norm(f"{block}{attention}_ln", width)
            tensors.linear(block + "mlp.0", 4 * width, width)
            tensors.linear(block + "mlp.2", width, 4 * width)
            tensors.norm(block + "mlp_ln", width)
    dims = {"n_mels": mels, "n_vocab": vocab, "n_audio_ctx": 1500, "n_audio_state": width, "n_audio_head": heads, "n_audio_layer": layers,
            "n_text_ctx": 448, "n_text_state": width, "n_text_head": heads, "n_text_layer": depth["decoder"]}
    return manifest("torch", {"dims": dims}, tensors)


def mixtral(layers, dim, heads, kv_heads, ffn, vocab, experts, files, apart=False):
    """Mistral AI's release, whole layers spread over the files; experts one below the other, or apart."""
    tensors = Keys(dtype="BF16")
    head = dim // heads
    for i in range(layers):
        tensors.prefix = f"consolidated.{i * files // layers:02}.pt/layers.{i}."
        tensors.add("attention.wq.weight", dim, dim)
        tensors.add("attention.wk.weight", kv_heads * head, dim)
        tensors.add("attention.wv.weight", kv_heads * head, dim)
        tensors.add("attention.wo.weight", dim, dim)
        for w in ("w1", "w2", "w3"):
            for e in range(experts if apart else 0):
                tensors.add(f"feed_forward.experts.{e}.{w}.weight", *((dim, ffn) if w == "w2" else (ffn, dim)))
            if not apart:
                tensors.add("block_sparse_moe." + w, experts * ffn, dim)
        tensors.add(("feed_forward" if apart else "block_sparse_moe") + ".gate.weight", experts, dim)
        tensors.add("attention_norm.weight", dim)
        tensors.add("ffn_norm.weight", dim)
    tensors.prefix = "consolidated.00.pt/"
    tensors.add("tok_embeddings.weight", vocab, dim)
    tensors.prefix = f"consolidated.{files - 1:02}.pt/"
    tensors.add("norm.weight", dim)
    tensors.add("output.weight", vocab, dim)
    params = {"hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "intermediate_size": ffn,
              "rms_norm_eps": 1e-05, "vocab_size": vocab, "num_local_experts": experts, "num_experts_per_tok": 2, "rope_theta": 1000000.0}
    return manifest("torch", {}, tensors, params=params)


def mistral(layers, dim, heads, kv_heads, ffn, vocab, **params):
    """Mistral AI's dense release."""
    tensors = Keys(dtype="BF16")
    head = dim // heads
    tensors.add("tok_embeddings.weight", vocab, dim)
    for i in range(layers):
        tensors.prefix = f"layers.{i}."
        tensors.add("attention.wq.weight", dim, dim)
        tensors.add("attention.wk.weight", kv_heads * head, dim)
        tensors.add("attention.wv.weight", kv_heads * head, dim)
        tensors.add("attention.wo.weight", dim, dim)
        tensors.add("feed_forward.w1.weight", ffn, dim)
        tensors.add("feed_forward.w2.weight", dim, ffn)
        tensors.add("feed_forward.w3.weight", ffn, dim)
        tensors.add("attention_norm.weight", dim)
        tensors.add("ffn_norm.weight", dim)
    tensors.prefix = ""
    tensors.add("norm.weight", dim)
    tensors.add("output.weight", vocab, dim)
    params = {"dim": dim, "n_layers": layers, "head_dim": head, "hidden_dim": ffn, "n_heads": heads, "n_kv_heads": kv_heads, "norm_eps": 1e-05, "vocab_size": vocab, **params}
    return manifest("torch", {}, tensors, params=params)


def clip(layers, width, patch, text_width, joint, image=224, vocab=49408, positions=77, text_layers=12):
    """OpenAI's CLIP, of which all matrices are in half precision."""
    tensors = Keys("", "F16")
    tensors.add("logit_scale")
    tensors.add("text_projection", text_width, joint)
    tensors.add("positional_embedding", positions, text_width)
    tensors.add("token_embedding.weight", vocab, text_width)
    tensors.norm("ln_final", text_width)
    tensors.add("visual.proj", width, joint)
    tensors.add("visual.class_embedding", width)
    tensors.add("visual.positional_embedding", (image // patch) ** 2 + 1, width)
    tensors.add("visual.conv1.weight", width, 3, patch, patch)
    tensors.norm("visual.ln_pre", width)
    tensors.norm("visual.ln_post", width)
    for tower, n, w in (("visual.transformer", layers, width), ("transformer", text_layers, text_width)):
        for i in range(n):
            block = f"{tower}.resblocks.{i}."
            tensors.add(block + "attn.in_proj_weight", 3 * w, w)
            tensors.add(block + "attn.in_proj_bias", 3 * w)
            tensors.linear(block + "attn.out_proj", w, w)
            tensors.norm(block + "ln_1", w)
            tensors.norm(block + "ln_2", w)
            tensors.linear(block + "mlp.c_fc", 4 * w, w)
            tensors.linear(block + "mlp.c_proj", w, 4 * w)
    return manifest("torch", {}, tensors)


def t5(layers, d_model, d_ff, heads, d_kv=64, vocab=32128, gated=True, tied=False, scanned=False):
    """T5X: a layer a folder, or all layers of a stack in one array along axis 1."""
    tensors = Keys("target/")
    tensors.add("token_embedder/embedding", vocab, d_model)
    for stack in ("encoder", "decoder"):
        encoder = stack == "encoder"
        own = "attention" if encoder else "self_attention"
        for i in range(1 if scanned else layers):
            layer = f"{stack}/{stack}/" if scanned else f"{stack}/layers_{i}/"

            def norm(name):
                tensors.add(f"{layer}pre_{name}_layer_norm/scale", *((d_model, layers) if scanned else (d_model,)))

            def attention(name):
                for part in ("query", "key", "value"):
                    tensors.add(f"{layer}{name}/{part}/kernel", *((d_model, layers, heads, d_kv) if scanned else (d_model, heads * d_kv)))
                tensors.add(f"{layer}{name}/out/kernel", *((heads, layers, d_kv, d_model) if scanned else (heads * d_kv, d_model)))

            norm(own)
            attention(own)
            if not encoder:
                norm("cross_attention")
                attention("encoder_decoder_attention")
            norm("mlp")
            for w in ("wi_0", "wi_1") if gated else ("wi",):
                tensors.add(f"{layer}mlp/{w}/kernel", *((d_model, layers, d_ff) if scanned else (d_model, d_ff)))
            tensors.add(f"{layer}mlp/wo/kernel", *((d_ff, layers, d_model) if scanned else (d_ff, d_model)))
            if scanned:
                tensors.add(f"{layer}relpos_bias/rel_embedding", heads, layers, 32)
        if not scanned:
            tensors.add(f"{stack}/relpos_bias/rel_embedding", heads, 32)
        tensors.add(f"{stack}/{stack}_norm/scale", d_model)
    if not tied:
        tensors.add("decoder/logits_dense/kernel", d_model, vocab)
    name = "network.T5Config.mlp_activations" if scanned else "dense.MlpBlock.activations"
    return manifest("t5x", {"version": 3, "gin": {name: ["gelu", "linear"] if gated else ["relu"]}}, tensors)


TF_BERT = {"hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.02}


def tf_layer(tensors, layer, hidden, ffn):
    """A layer of google-research's BERT and ELECTRA."""
    for part in ("query", "key", "value"):
        tensors.kernel(f"{layer}attention/self/{part}", hidden, hidden)
    tensors.kernel(layer + "attention/output/dense", hidden, hidden)
    tensors.tf_norm(layer + "attention/output/LayerNorm", hidden)
    tensors.kernel(layer + "intermediate/dense", hidden, ffn)
    tensors.kernel(layer + "output/dense", ffn, hidden)
    tensors.tf_norm(layer + "output/LayerNorm", hidden)


def tf_embeddings(tensors, scope, width, vocab, positions, types):
    tensors.add(scope + "word_embeddings", vocab, width)
    tensors.add(scope + "position_embeddings", positions, width)
    tensors.add(scope + "token_type_embeddings", types, width)
    tensors.tf_norm(scope + "LayerNorm", width)


def bert(layers, hidden, ffn, heads, vocab=30522, positions=512, types=2, head="pretraining", slots=False):
    """google-research/bert. `slots`: a checkpoint of the training program, not a release."""
    tensors = Keys()
    tf_embeddings(tensors, "bert/embeddings/", hidden, vocab, positions, types)
    for i in range(layers):
        tf_layer(tensors, f"bert/encoder/layer_{i}/", hidden, ffn)
    tensors.kernel("bert/pooler/dense", hidden, hidden)
    if head == "pretraining":
        tensors.kernel("cls/predictions/transform/dense", hidden, hidden)
        tensors.tf_norm("cls/predictions/transform/LayerNorm", hidden)
        tensors.add("cls/predictions/output_bias", vocab)
        tensors.add("cls/seq_relationship/output_weights", 2, hidden)
        tensors.add("cls/seq_relationship/output_bias", 2)
    if head == "squad":
        tensors.add("cls/squad/output_weights", 2, hidden)
        tensors.add("cls/squad/output_bias", 2)
    if head == "classifier":
        tensors.add("output_weights", 3, hidden)
        tensors.add("output_bias", 3)
    if slots:
        tensors += [{**t, "key": f"{t['key']}/{slot}"} for t in tensors for slot in ("Adam", "Adam_1")]
        for name in ("global_step", "beta1_power", "beta2_power"):
            tensors.add(name)
    settings = {**TF_BERT, "vocab_size": vocab, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": ffn, "max_position_embeddings": positions, "type_vocab_size": types}
    return manifest("tensorflow", {}, tensors, params=settings)


def bert_tf2(layers, hidden, ffn, heads, vocab=30522, positions=512, types=2):
    """The encoder of TensorFlow's Model Garden, to v2.3.0."""
    tensors, head = Keys("model/layer_with_weights-"), hidden // heads
    for i, rows in enumerate((vocab, positions, types)):
        tensors.variable(f"{i}/embeddings", rows, hidden)

    def norm(name):
        tensors.variable(name + "gamma", hidden)
        tensors.variable(name + "beta", hidden)

    norm("3/")
    for i in range(layers):
        layer = f"{i + 4}/"
        for part in ("query", "key", "value"):
            tensors.variable(f"{layer}_attention_layer/_{part}_dense/kernel", hidden, heads, head)
            tensors.variable(f"{layer}_attention_layer/_{part}_dense/bias", heads, head)
        tensors.variable(layer + "_attention_output_dense/kernel", heads, head, hidden)
        tensors.variable(layer + "_attention_output_dense/bias", hidden)
        norm(layer + "_attention_layer_norm/")
        for name, n_in, n_out in (("_intermediate", hidden, ffn), ("_output", ffn, hidden)):
            tensors.variable(f"{layer}{name}_dense/kernel", n_in, n_out)
            tensors.variable(f"{layer}{name}_dense/bias", n_out)
        norm(layer + "_output_layer_norm/")
    tensors.variable(f"{layers + 4}/kernel", hidden, hidden)
    tensors.variable(f"{layers + 4}/bias", hidden)
    settings = {**TF_BERT, "vocab_size": vocab, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": ffn, "max_position_embeddings": positions, "type_vocab_size": types}
    return manifest("tensorflow", {}, tensors, params=settings)


def electra(layers, hidden, embedding, generator, generator_layers, vocab=30522, positions=512, types=2, tuned=False):
    """google-research/electra: the discriminator with a generator that is smaller, or shares its encoder."""
    tensors = Keys()
    tf_embeddings(tensors, "electra/embeddings/", embedding, vocab, positions, types)
    for scope, width, n in (("electra", hidden, layers), ("generator", generator, generator_layers)):
        if width != embedding:
            tensors.kernel(scope + "/embeddings_project", embedding, width)
        for i in range(n):
            tf_layer(tensors, f"{scope}/encoder/layer_{i}/", width, 4 * width)
    if not tuned:
        tensors.kernel("generator_predictions/dense", generator, embedding)
        tensors.tf_norm("generator_predictions/LayerNorm", embedding)
        tensors.add("generator_predictions/output_bias", vocab)
        tensors.kernel("discriminator_predictions/dense", hidden, hidden)
        tensors.kernel("discriminator_predictions/dense_1", hidden, 1)
    return manifest("tensorflow", {}, tensors)


def albert(layers, hidden, ffn, heads, embedding=128, vocab=30000, positions=512, types=2, groups=1, inner=1, head="pretraining", prefix="", **more):
    """google-research/albert; `prefix`: as TF-Hub modules have it."""
    tensors = Keys(prefix)
    tf_embeddings(tensors, "bert/embeddings/", embedding, vocab, positions, types)
    tensors.kernel("bert/encoder/embedding_hidden_mapping_in", embedding, hidden)
    for g in range(groups):
        for j in range(inner):
            layer = f"bert/encoder/transformer/group_{g}/inner_group_{j}/"
            for part in ("query", "key", "value"):
                tensors.kernel(f"{layer}attention_1/self/{part}", hidden, hidden)
            tensors.kernel(layer + "attention_1/output/dense", hidden, hidden)
            tensors.tf_norm(layer + "LayerNorm", hidden)
            tensors.kernel(layer + "ffn_1/intermediate/dense", hidden, ffn)
            tensors.kernel(layer + "ffn_1/intermediate/output/dense", ffn, hidden)
            tensors.tf_norm(layer + "LayerNorm_1", hidden)
    tensors.kernel("bert/pooler/dense", hidden, hidden)
    if head != "none":
        tensors.kernel("cls/predictions/transform/dense", hidden, embedding)
        tensors.tf_norm("cls/predictions/transform/LayerNorm", embedding)
        tensors.add("cls/predictions/output_bias", vocab)
    if head == "pretraining":
        tensors.add("cls/seq_relationship/output_weights", 2, hidden)
        tensors.add("cls/seq_relationship/output_bias", 2)
    settings = {**TF_BERT, "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, "embedding_size": embedding, "hidden_size": hidden, "intermediate_size": ffn, "max_position_embeddings": positions,
                "num_attention_heads": heads, "num_hidden_layers": layers, "num_hidden_groups": groups, "net_structure_type": 0, "gap_size": 0, "num_memory_blocks": 0, "inner_group_num": inner,
                "down_scale_factor": 1, "type_vocab_size": types, "vocab_size": vocab, **more}
    return manifest("tensorflow", {}, tensors, params=settings)


def t5_mesh(layers, d_model, d_ff, heads, d_kv=64, vocab=32128, gated=True, slots=False):
    """Mesh TensorFlow: 1.0, or 1.1, which is gated and untied and calls its norms otherwise."""
    tensors = Keys()
    tensors.add("shared/embedding", vocab, d_model)
    norm, last = ("rms_norm", "rms_norm") if gated else ("layer_norm", "final_layer_norm")
    for stack in ("encoder", "decoder"):
        for i in range(layers):
            names = ["SelfAttention", "DenseReluDense"] if stack == "encoder" else ["SelfAttention", "EncDecAttention", "DenseReluDense"]
            for k, name in enumerate(names):
                layer = f"{stack}/block_{i:03}/layer_{k:03}/"
                tensors.add(f"{layer}{norm}/scale", d_model)
                if name == "DenseReluDense":
                    for w in ("wi_0", "wi_1") if gated else ("wi",):
                        tensors.add(f"{layer}{name}/{w}/kernel", d_model, d_ff)
                    tensors.add(f"{layer}{name}/wo/kernel", d_ff, d_model)
                    continue
                for w in "qkv":
                    tensors.add(f"{layer}{name}/{w}", d_model, heads * d_kv)
                tensors.add(f"{layer}{name}/o", heads * d_kv, d_model)
                if i == 0 and (name == "SelfAttention" or not gated):
                    tensors.add(f"{layer}{name}/relative_attention_bias", heads, 32)
        tensors.add(f"{stack}/{last}/scale", d_model)
    if gated:
        tensors.add("decoder/logits/kernel", d_model, vocab)
    if slots:
        tensors += [{**t, "key": t["key"] + "_slot_v"} for t in tensors]
        tensors.add("global_step")
    settings = {"config": {"feed_forward_proj": "gated-gelu"}} if gated else {}
    return manifest("tensorflow", settings, tensors)


BASE = dict(layers=12, hidden=768, ffn=3072, heads=12)
LARGE = dict(layers=24, hidden=1024, ffn=4096, heads=16)
BART = dict(positions=1024, embedding_norm=True)
TWELVE = dict(layers=12, hidden=1024, ffn=4096, heads=16)

# Rule file, name of the manifest.
FAMILIES = {
    "wav2vec2/wav2vec2-base": lambda: speech("wav2vec2", **BASE),
    "wav2vec2/wav2vec2-large-lv60-960h": lambda: speech("wav2vec2", **LARGE, large=True, bias=True, ctc=True, final=768),
    "hubert/hubert-base": lambda: speech("hubert", **BASE),
    "hubert/hubert-large-960h": lambda: speech("hubert", **LARGE, large=True, ctc=True, final=768),
    "bart/bart.base": lambda: translation(layers=6, hidden=768, ffn=3072, heads=12, vocab=50265, **BART),
    "bart/bart.large": lambda: translation(**TWELVE, vocab=50265, fused=True, **BART),
    "bart/bart.large.mnli": lambda: translation(**TWELVE, vocab=50265, fused=True, classes=3, **BART),
    "mbart/mbart.cc25": lambda: translation(**TWELVE, vocab=250027, before=True, fused=True, **BART),
    "m2m100/m2m100-418M": lambda: translation(**TWELVE, vocab=128112, before=True, encoder_layerdrop=0.05, decoder_layerdrop=0.05),
    "m2m100/nllb-200-1.3B": lambda: translation(layers=24, hidden=1024, ffn=8192, heads=16, vocab=256206, before=True),
    "xlmr-xl/xlmr.xl": lambda: xlmr_xl(layers=36, hidden=2560, ffn=10240, heads=32),
    "whisper/whisper-tiny": lambda: whisper(4, 384, 6),
    "whisper/whisper-large-v3": lambda: whisper(32, 1280, 20, vocab=51866, mels=128),
    "mixtral/mixtral-8x7b": lambda: mixtral(32, 4096, 32, 8, 14336, 32000, experts=8, files=8),
    "mistral/mistral-7b-v0.3": lambda: mistral(32, 4096, 32, 8, 14336, 32768, rope_theta=1000000.0),
    "clip/clip-vit-b-32": lambda: clip(12, 768, 32, 512, 512),
    "clip/clip-vit-l-14": lambda: clip(24, 1024, 14, 768, 768),
    "t5/t5-small": lambda: t5(6, 512, 2048, 8, gated=False, tied=True),
    "t5/t5-1.1-xxl": lambda: t5(24, 4096, 10240, 64),
    "umt5/umt5-xxl": lambda: t5(24, 4096, 10240, 64, vocab=256384, scanned=True),
    "bert/bert-base-uncased": lambda: bert(**BASE),
    "bert/bert-large-uncased": lambda: bert(**LARGE),
    "bert-tf2/bert-tf2-base": lambda: bert_tf2(**BASE),
    "electra/electra-small": lambda: electra(12, 256, 128, generator=64, generator_layers=12),
    "electra/electra-large": lambda: electra(24, 1024, 1024, generator=256, generator_layers=24),
    "albert/albert-base-v2": lambda: albert(**BASE),
    "albert/albert-xxlarge-v1": lambda: albert(12, 4096, 16384, 64, prefix="module/"),
    "t5-mesh/t5-small-mesh": lambda: t5_mesh(6, 512, 2048, 8, gated=False),
    "t5-mesh/t5-1.1-small-mesh": lambda: t5_mesh(8, 512, 1024, 6),
}

# Not published: small ones that show the rules that no published one needs.
FAMILIES_SMALL = {
    "wav2vec2/wav2vec2-small-ctc": lambda: speech("wav2vec2", 2, 48, 40, 2, large=True, bias=True, ctc=True, final=24),
    "hubert/hubert-small-ctc": lambda: speech("hubert", 2, 48, 40, 2, large=True, ctc=True, final=24),
    "bart/bart-small-mnli": lambda: translation(layers=2, hidden=12, ffn=20, heads=2, vocab=30, fused=True, classes=3, **BART),
    "whisper/whisper-small-width": lambda: whisper(2, 12, 2),
    "mixtral/mixtral-small": lambda: mixtral(2, 8, 2, 1, 12, 20, experts=2, files=2),
    "mistral/mistral-small": lambda: mistral(2, 16, 2, 1, 40, 30, rope_theta=1000000.0),
    "clip/clip-small": lambda: clip(2, 128, 32, 64, 48, vocab=100, positions=7, text_layers=2),
    "t5/t5-small-width": lambda: t5(2, 12, 20, 2, d_kv=4, vocab=30, gated=False, tied=True),
    "t5/t5-small-width-gated": lambda: t5(2, 12, 20, 2, d_kv=4, vocab=30),
    "mbart/mbart-small": lambda: translation(layers=2, hidden=8, ffn=16, heads=2, vocab=20, before=True, **BART),
    "m2m100/m2m100-small-fused": lambda: translation(layers=2, hidden=8, ffn=16, heads=2, vocab=20, before=True, fused=True),
    "xlmr-xl/xlmr-xl-small-mnli": lambda: xlmr_xl(layers=2, hidden=8, ffn=16, heads=2, vocab=20, classes=3),
    "mixtral/mixtral-small-apart": lambda: mixtral(2, 8, 2, 1, 12, 20, experts=2, files=1, apart=True),
    "umt5/umt5-small-relu": lambda: t5(2, 8, 16, 2, d_kv=4, vocab=20, gated=False, scanned=True),
    "bart/bart-small": lambda: translation(layers=2, hidden=12, ffn=20, heads=2, vocab=30, **BART),
    "bert/bert-small": lambda: bert(2, 12, 20, 2, vocab=30, positions=14),
    "bert-tf2/bert-tf2-small": lambda: bert_tf2(2, 12, 20, 2, vocab=30, positions=14),
    "electra/electra-small-generator": lambda: electra(2, 64, 20, generator=24, generator_layers=2, vocab=30, positions=14),
    "albert/albert-small": lambda: albert(2, 12, 20, 2, embedding=8, vocab=30, positions=14),
    "t5-mesh/t5-mesh-small": lambda: t5_mesh(2, 12, 20, 2, d_kv=4, vocab=30),
    "t5-mesh/t5-mesh-small-relu": lambda: t5_mesh(2, 12, 20, 2, d_kv=4, vocab=30, gated=False),
    "bert/bert-small-squad": lambda: bert(2, 8, 16, 2, vocab=20, head="squad"),
    "bert/bert-small-classifier": lambda: bert(2, 8, 16, 2, vocab=20, head="classifier", slots=True),
    "electra/electra-small-shared": lambda: electra(2, 64, 64, generator=64, generator_layers=0),
    "albert/albert-small-groups": lambda: albert(4, 8, 16, 2, embedding=4, vocab=20, groups=2, inner=2, head="none"),
    "t5-mesh/t5-small-mesh-slots": lambda: t5_mesh(12, 8, 16, 2, d_kv=4, vocab=20, slots=True),
}

# As in published.py: arrays, arrays with experts counted one by one, parameters, bytes of the largest array. The parameters begin
# with what the class holds in the published configuration (numel of all of model.parameters(), transformers 5.24). Then comes what
# only the source has: `version`; the embedding again, for the decoder and as its output; the head of pretraining; the
# language-model head beside a classifier; T5's untied head where the class ties it.
FAMILIES_KNOWN = {
    "wav2vec2-base": (218, 218, 95_044_608, 18_874_368),
    "wav2vec2-large-lv60-960h": (424, 424, 315_471_520, 33_554_432),
    "hubert-base": (214, 214, 94_371_712 + 504 * 256 + 769 * 256, 18_874_368),
    "hubert-large-960h": (418, 418, 315_467_936 + 504 * 768, 33_554_432),
    "bart.base": (263, 263, 139_420_416 + 2 * 50_265 * 768 + 2, 154_414_080),
    "bart.large": (370, 370, 406_291_456 + 50_265 * 1024 + 2, 205_885_440),
    "bart.large.mnli": (374, 374, 407_344_131 + 50_265 * 1024 + 2, 205_885_440),
    "mbart.cc25": (374, 374, 610_851_840 + 250_027 * 1024 + 2, 1_024_110_592),
    "m2m100-418M": (513, 513, 483_905_536 + 2 * 128_112 * 1024 + 2, 524_746_752),
    "nllb-200-1.3B": (1017, 1017, 1_370_638_336 + 2 * 256_206 * 1024 + 2, 1_049_419_776),
    "xlmr.xl": (587, 587, 3_482_741_760 - 2560 + 250_880 * 2560 + 1, 1_284_505_600),
    "whisper-tiny": (167, 167, 37_760_640, 39_832_320),
    "whisper-large-v3": (1259, 1259, 1_543_490_560, 132_776_960),
    "mixtral-8x7b": (323, 323, 46_702_792_704, 939_524_096),
    "mistral-7b-v0.3": (291, 291, 7_248_023_552, 268_435_456),
    "clip-vit-b-32": (302, 302, 151_277_313, 50_593_792),
    "clip-vit-l-14": (446, 446, 427_616_513, 75_890_688),
    "t5-small": (131, 131, 60_506_624, 65_798_144),
    "t5-1.1-xxl": (558, 558, 11_003_736_064 + 32_128 * 4096, 526_385_152),
    "umt5-xxl": (29, 29, 11_922_382_848 + 256_384 * 4096, 4_200_595_456),
    "bert-base-uncased": (206, 206, 110_106_428, 93_763_584),
    "bert-large-uncased": (398, 398, 336_226_108, 125_018_112),
    "electra-small": (402, 402, 13_549_057 + 4_620_026 - 3_972_864, 30_522 * 128 * 4),   # the embeddings are both models'
    "electra-large": (784, 784, 335_142_913 + 51_295_290 - 31_782_912, 30_522 * 1024 * 4),
    "albert-base-v2": (32, 32, 11_813_810, 30_000 * 128 * 4),
    "albert-xxlarge-v1": (32, 32, 223_158_450, 4096 * 16_384 * 4),
    "t5-small-mesh": (132, 132, 60_506_624 + 8 * 32, 65_798_144),   # with a table of cross attention that nothing reads
    "t5-1.1-small-mesh": (190, 190, 60_511_616 + 32_128 * 512, 65_798_144),
    "bert-tf2-base": (199, 199, 109_482_240, 93_763_584),
}
