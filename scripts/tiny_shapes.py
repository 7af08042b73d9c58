"""Names and shapes of every tensor a geometry has, as the official file names them."""

from __future__ import annotations

from typing import Any

Shapes = dict[str, tuple[int, ...]]


def linear(t: Shapes, name: str, out: int, width: int) -> None:
    t[name + ".weight"], t[name + ".bias"] = (out, width), (out,)


def _attention(t: Shapes, name: str, width: int, heads: int, gated: bool) -> None:
    _cross_attention(t, name, (width, width, width), heads, gated)


def _cross_attention(
    t: Shapes, name: str, sizes: tuple[int, int, int], heads: int, gated: bool
) -> None:
    """`sizes`: the width of what looks, of what it looks at, and of all heads together."""
    queries, keys, inner = sizes
    linear(t, f"{name}.to_q", inner, queries)
    linear(t, f"{name}.to_k", inner, keys)
    linear(t, f"{name}.to_v", inner, keys)
    linear(t, f"{name}.to_out.0", queries, inner)
    t[name + ".q_norm.weight"] = t[name + ".k_norm.weight"] = (inner,)
    if gated:
        linear(t, name + ".to_gate_logits", heads, queries)


def feed_forward(t: Shapes, name: str, width: int) -> None:
    linear(t, name + ".net.0.proj", 4 * width, width)
    linear(t, name + ".net.2", width, 4 * width)


def adaln(t: Shapes, name: str, width: int, rows: int) -> None:
    linear(t, name + ".emb.timestep_embedder.linear_1", width, 256)
    linear(t, name + ".emb.timestep_embedder.linear_2", width, width)
    linear(t, name + ".linear", rows * width, width)


def _connector(t: Shapes, kind: str, config: dict[str, Any], registers: int) -> None:
    """With sizes of its own, or as the video's."""
    own = "" if kind == "video" else "audio_"
    heads, size = (
        config.get(own + key, config[key])
        for key in ("connector_num_attention_heads", "connector_attention_head_dim")
    )
    connector = f"model.diffusion_model.{kind}_embeddings_connector."
    width = heads * size
    t[connector + "learnable_registers"] = (registers, width)
    for i in range(config["connector_num_layers"]):
        block = f"{connector}transformer_1d_blocks.{i}."
        gated = config.get("connector_apply_gated_attention", False)
        _attention(t, block + "attn1", width, heads, gated)
        feed_forward(t, block + "ff", width)


def _text(t: Shapes, kind: str, config: dict[str, Any], width: int, layers: int) -> None:
    """What makes rows of text of hidden states, and of these what the transformer looks at."""
    inputs, text = config["caption_channels"] * (layers + 1), "text_embedding_projection."
    if config.get("caption_proj_before_connector"):
        linear(t, f"{text}{kind}_aggregate_embed", width, inputs)
        return
    t[text + "aggregate_embed.weight"] = (config["caption_channels"], inputs)
    own = "" if kind == "video" else "audio_"
    projection = f"model.diffusion_model.{own}caption_projection.linear_"
    linear(t, projection + "1", width, config["caption_channels"])
    linear(t, projection + "2", width, width)


def transformer(config: dict[str, Any], registers: int, layers: int) -> Shapes:
    t: Shapes = {}
    heads, root = config["num_attention_heads"], "model.diffusion_model."
    width, gated = heads * config["attention_head_dim"], config.get("apply_gated_attention", False)
    of_text = config.get("cross_attention_adaln", False)
    rows = 9 if of_text else 6
    linear(t, root + "patchify_proj", width, config["in_channels"])
    adaln(t, root + "adaln_single", width, rows)
    if of_text:
        adaln(t, root + "prompt_adaln_single", width, 2)
    for i in range(config["num_layers"]):
        block = f"{root}transformer_blocks.{i}."
        t[block + "scale_shift_table"] = (rows, width)
        if of_text:
            t[block + "prompt_scale_shift_table"] = (2, width)
        _attention(t, block + "attn1", width, heads, gated)
        _attention(t, block + "attn2", width, heads, gated)
        feed_forward(t, block + "ff", width)
        if not config.get("ff_bias", True):
            del t[block + "ff.net.0.proj.bias"], t[block + "ff.net.2.bias"]
    if config.get("use_keyframes_abs_pos_embedding"):
        t[root + "keyframes_abs_pos_embedding"] = (1, width)
    t[root + "scale_shift_table"] = (2, width)
    linear(t, root + "proj_out", config["out_channels"], width)
    _connector(t, "video", config, registers)
    _text(t, "video", config, width, layers)
    return t


def sound(config: dict[str, Any], registers: int, layers: int) -> Shapes:
    """The transformer's side for the sound, with its text."""
    t: Shapes = {}
    root, heads = "model.diffusion_model.", config["audio_num_attention_heads"]
    video = config["num_attention_heads"] * config["attention_head_dim"]
    width, gated = (
        heads * config["audio_attention_head_dim"],
        config.get("apply_gated_attention", False),
    )
    of_text = config.get("cross_attention_adaln", False)
    rows = 9 if of_text else 6
    linear(t, root + "audio_patchify_proj", width, config["audio_in_channels"])
    linear(t, root + "audio_proj_out", config["audio_out_channels"], width)
    t[root + "audio_scale_shift_table"] = (2, width)
    for name, size, count in (
        ("audio_adaln_single", width, rows),
        ("audio_prompt_adaln_single", width, 2),
        ("av_ca_video_scale_shift_adaln_single", video, 4),
        ("av_ca_audio_scale_shift_adaln_single", width, 4),
        ("av_ca_a2v_gate_adaln_single", video, 1),
        ("av_ca_v2a_gate_adaln_single", width, 1),
    ):
        if of_text or "prompt" not in name:
            adaln(t, root + name, size, count)
    for i in range(config["num_layers"]):
        block = f"{root}transformer_blocks.{i}."
        _attention(t, block + "audio_attn1", width, heads, gated)
        _attention(t, block + "audio_attn2", width, heads, gated)
        _cross_attention(t, block + "audio_to_video_attn", (video, width, width), heads, gated)
        _cross_attention(t, block + "video_to_audio_attn", (width, video, width), heads, gated)
        feed_forward(t, block + "audio_ff", width)
        t[block + "audio_scale_shift_table"] = (rows, width)
        if of_text:
            t[block + "audio_prompt_scale_shift_table"] = (2, width)
        t[block + "scale_shift_table_a2v_ca_video"] = (5, video)
        t[block + "scale_shift_table_a2v_ca_audio"] = (5, width)
    _connector(t, "audio", config, registers)
    _text(t, "audio", config, width, layers)
    return t


def audio(config: dict[str, Any], layers: int) -> Shapes:
    """Some of the audio tensors of the official file; a video-only reader must pass over them."""
    t: Shapes = {}
    root, width = "model.diffusion_model.", 32
    video = config["num_attention_heads"] * config["attention_head_dim"]
    linear(t, root + "audio_patchify_proj", width, 8)
    adaln(t, root + "audio_adaln_single", width, 9)
    adaln(t, root + "av_ca_a2v_gate_adaln_single", video, 1)
    t[root + "audio_scale_shift_table"] = (2, width)
    block = root + "transformer_blocks.0."
    _attention(t, block + "audio_attn1", width, 4, True)
    linear(t, block + "audio_to_video_attn.to_q", width, video)
    linear(t, block + "video_to_audio_attn.to_k", width, video)
    t[block + "audio_prompt_scale_shift_table"] = (2, width)
    t[block + "scale_shift_table_a2v_ca_video"] = (5, video)
    t[block + "scale_shift_table_a2v_ca_audio"] = (5, width)
    t[root + "audio_embeddings_connector.learnable_registers"] = (16, width)
    linear(
        t,
        "text_embedding_projection.audio_aggregate_embed",
        width,
        config["caption_channels"] * (layers + 1),
    )
    t["audio_vae.encoder.conv_in.conv.weight"] = (4, 2, 3, 3)
    t["audio_vae.per_channel_statistics.mean-of-means"] = (8,)
    t["vocoder.vocoder.conv_pre.weight"] = (8, 8, 7)
    return t


def _conv(t: Shapes, name: str, out: int, width: int) -> None:
    t[name + ".conv.weight"], t[name + ".conv.bias"] = (out, width, 3, 3, 3), (out,)


def _stride(kind: str) -> int:
    return {"space": 4, "time": 2, "all": 8}[kind.split("_")[1]]


def _res_x_y(t: Shapes, name: str, out: int, width: int) -> None:
    _conv(t, name + ".conv1", out, width)
    _conv(t, name + ".conv2", out, out)
    t[name + ".conv_shortcut.weight"] = (out, width, 1, 1, 1)
    t[name + ".conv_shortcut.bias"] = (out,)
    t[name + ".norm3.weight"] = t[name + ".norm3.bias"] = (width,)


def _vae_stage(t: Shapes, name: str, stage: list[Any], width: int, encoder: bool) -> int:
    """Adds one stage's tensors; the width after it is returned."""
    kind, options = stage
    if kind == "res_x":
        for i in range(options["num_layers"]):
            _conv(t, f"{name}.res_blocks.{i}.conv1", width, width)
            _conv(t, f"{name}.res_blocks.{i}.conv2", width, width)
        return width
    times = options.get("multiplier", 2 if encoder or kind == "res_x_y" else 1)
    out: int = width * times if encoder else width // times
    if kind == "res_x_y":
        _res_x_y(t, name, out, width)
    elif kind.endswith("_res"):
        _conv(t, name + ".conv", out // _stride(kind), width)
    elif encoder:  # a plain strided convolution, the older models' way
        out = out if kind.endswith("_x_y") else width
        _conv(t, name, out, width)
    else:
        _conv(t, name + ".conv", out * _stride(kind), width)
    return out


def _encoder(t: Shapes, latent: int, blocks: list[Any], config: dict[str, Any]) -> None:
    width, pixels = latent, 3 * config["patch_size"] ** 2
    _conv(t, "vae.encoder.conv_in", width, pixels)
    for i, stage in enumerate(blocks):
        width = _vae_stage(t, f"vae.encoder.down_blocks.{i}", stage, width, True)
    variance = {"uniform": 1, "per_channel": latent}[config["latent_log_var"]]
    _conv(t, "vae.encoder.conv_out", latent + variance, width)


def _window_block(t: Shapes, name: str, width: int, head_dim: int) -> None:
    t[name + ".norm1.weight"] = t[name + ".norm2.weight"] = (width,)
    t[name + ".attn.q_norm.weight"] = t[name + ".attn.k_norm.weight"] = (head_dim,)
    linear(t, name + ".attn.qkv", 3 * width, width)
    linear(t, name + ".attn.proj", width, width)
    for part in ("w_gate", "w_up"):
        t[f"{name}.mlp.{part}.weight"] = (4 * width, width)
    t[name + ".mlp.w_down.weight"] = (width, 4 * width)


def diffusion_decoder(config: dict[str, Any]) -> Shapes:
    t: Shapes = {}
    root, widths, head_dim = "vae.decoder.", config["stage_channels"], config["head_dim"]
    pixels, last, time = 3 * config["patch_size"] ** 2, widths[-1], config["t_emb_dim"]
    linear(t, root + "conv_in", widths[0], config["in_channels"])
    for i, (strides, less) in enumerate(config["upsamples"]):
        for b in range(config["stage_depths"][i]):
            _window_block(t, f"{root}det_stages.{i}.{b}", widths[i], head_dim)
        parts = strides[0] * strides[1] * strides[2]
        linear(t, f"{root}upsamples.{i}.proj", parts * widths[i] // less, widths[i])
    linear(t, root + "conv_in_x_t", last, pixels)
    linear(t, root + "t_embedder.mlp.0", time, 256)
    linear(t, root + "t_embedder.mlp.2", time, time)
    linear(t, root + "shared_adaln.proj", 7 * last, time)
    for b in range(config["stage_depths"][-1]):
        block = f"{root}diff_blocks.{b}"
        _window_block(t, block, last, head_dim)
        linear(t, block + ".context_proj", last, last)
        t[block + ".scale_shift_table"] = (7, last)
    t[root + "norm_out.weight"] = (last,)
    linear(t, root + "conv_out", pixels, last)
    t[root + "type_emb"] = (config["in_channels"],)
    return t


def vae(config: dict[str, Any]) -> Shapes:
    t: Shapes = {}
    if "encoder" in config:
        own = config["encoder"]
        latent = own["out_channels"]
        _encoder(t, latent, own["blocks"], own)
        t |= diffusion_decoder(config["decoder"])
        t["vae.per_channel_statistics.mean-of-means"] = (latent,)
        t["vae.per_channel_statistics.std-of-means"] = (latent,)
        return t
    latent, pixels = config["latent_channels"], 3 * config["patch_size"] ** 2
    _encoder(t, latent, config["encoder_blocks"], config)
    width = 8 * config["decoder_base_channels"]
    _conv(t, "vae.decoder.conv_in", width, latent)
    for i, stage in enumerate(reversed(config["decoder_blocks"])):
        width = _vae_stage(t, f"vae.decoder.up_blocks.{i}", stage, width, False)
    _conv(t, "vae.decoder.conv_out", pixels, width)
    t["vae.per_channel_statistics.mean-of-means"] = (latent,)
    t["vae.per_channel_statistics.std-of-means"] = (latent,)
    return t


def gemma(config: dict[str, Any], rows: int) -> Shapes:
    d, ff, dim = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * dim, config["num_key_value_heads"] * dim
    t: Shapes = {"embed_tokens.weight": (rows, d), "norm.weight": (d,)}
    for i in range(config["num_hidden_layers"]):
        block = f"layers.{i}."
        for part in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            t[f"{block}{part}_layernorm.weight"] = (d,)
        for part, out, width in (("q", q, d), ("k", kv, d), ("v", kv, d), ("o", d, q)):
            t[f"{block}self_attn.{part}_proj.weight"] = (out, width)
        t[block + "self_attn.q_norm.weight"] = t[block + "self_attn.k_norm.weight"] = (dim,)
        t[block + "mlp.gate_proj.weight"] = t[block + "mlp.up_proj.weight"] = (ff, d)
        t[block + "mlp.down_proj.weight"] = (d, ff)
    return t


# kind -> what the tiny upsampler's config states besides its sizes, and its convolution
UPSAMPLERS: dict[str, tuple[dict[str, Any], str, int, int]] = {  # name, parts, axes
    "spatial": ({"spatial_upsample": True}, "upsampler.0", 4, 2),
    "temporal": (
        {"spatial_upsample": False, "temporal_upsample": True}, "upsampler.0", 2, 3,
    ),
    "both": ({"spatial_upsample": True, "temporal_upsample": True}, "upsampler.0", 8, 3),
    "rational": (
        {"spatial_upsample": True, "rational_resampler": True, "spatial_scale": 1.5},
        "upsampler.conv", 9, 2,
    ),
    "rational2": (  # LTX-2.0's
        {"spatial_upsample": True, "rational_resampler": True, "spatial_scale": 2.0},
        "upsampler.conv", 4, 2,
    ),
}  # fmt: skip
UPSAMPLER_SIZES = {"mid_channels": 64, "num_blocks_per_stage": 2, "dims": 3}
UPSAMPLER_CHANNELS = 16  # of the latents, unless another is asked for


def upsampler(
    kind: str, channels: int = UPSAMPLER_CHANNELS, sizes: dict[str, int] = UPSAMPLER_SIZES
) -> Shapes:
    width = sizes["mid_channels"]
    _, name, parts, axes = UPSAMPLERS[kind]
    t: Shapes = {}

    def conv(name: str, out: int, into: int, axes: int = 3) -> None:
        t[f"{name}.weight"] = (out, into, *[3] * axes)
        t[f"{name}.bias"] = (out,)

    def norm(name: str) -> None:
        t[f"{name}.weight"] = t[f"{name}.bias"] = (width,)

    conv("initial_conv", width, channels)
    norm("initial_norm")
    for stage in ("res_blocks", "post_upsample_res_blocks"):
        for i in range(sizes["num_blocks_per_stage"]):
            for j in (1, 2):
                conv(f"{stage}.{i}.conv{j}", width, width)
                norm(f"{stage}.{i}.norm{j}")
    conv(name, parts * width, width, axes)
    conv("final_conv", channels, width)
    return t


DURATION = {"video": 64, "audio": 32, "width": 32}  # as wide as `v25`'s text
FULL_DURATION = {"video": 4096, "audio": 2048, "width": 256}


def duration_head(sizes: dict[str, int] = DURATION) -> Shapes:
    """As the official file names them: queries, keys and values have one matrix."""
    t: Shapes = {}
    root, width = "duration_head.", sizes["width"]
    for kind in ("video", "audio"):
        linear(t, f"{root}{kind}_input_proj", width, sizes[kind])
        t[f"{root}{kind}_modality_emb"] = (width,)
    pooler = root + "attention_pooler."
    t[pooler + "query_tokens"] = (1, width)
    t[pooler + "cross_attn.in_proj_weight"] = (3 * width, width)
    t[pooler + "cross_attn.in_proj_bias"] = (3 * width,)
    linear(t, pooler + "cross_attn.out_proj", width, width)
    linear(t, root + "mlp_hidden", width, width)
    linear(t, root + "mlp_out", 1, width)
    return t
