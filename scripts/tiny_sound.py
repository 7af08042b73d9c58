"""Audio VAEs and vocoders: the tiny ones' configs, and the tensors that any config asks for."""

from __future__ import annotations

from typing import Any

from tiny_shapes import Shapes

Config = dict[str, Any]

_GENERATOR: Config = {"stereo": True, "upsample_initial_channel": 16}
_BIG: Config = {
    **_GENERATOR, "resblock": "AMP1", "activation": "snakebeta", "use_tanh_at_final": False,
    "use_bias_at_final": False,
}  # fmt: skip


def _vae(ch: int, multipliers: list[int], blocks: int, latent: int) -> Config:
    ddconfig = {
        "ch": ch, "ch_mult": multipliers, "num_res_blocks": blocks, "z_channels": latent,
        "double_z": True, "in_channels": 2, "out_ch": 2, "resolution": 256, "mel_bins": 64,
        "norm_type": "pixel", "causality_axis": "height", "attn_resolutions": [],
        "mid_block_add_attention": False, "dropout": 0.0,
    }  # fmt: skip
    return {
        "model": {"params": {"ddconfig": ddconfig, "sampling_rate": 16000}},
        "preprocessing": {
            "stft": {"filter_length": 1024, "hop_length": 160, "win_length": 1024, "causal": True},
            "mel": {"n_mel_channels": 64, "mel_fmin": 0, "mel_fmax": 8000},
        },
    }


# Of the geometry `base`: sizes as small as can be, rates as LTX-2.3's.
BASE: dict[str, Config] = {
    "audio_vae": _vae(4, [1, 1, 2], 1, 1),
    "vocoder": {
        "vocoder": {
            **_BIG, "upsample_rates": [10, 16], "upsample_kernel_sizes": [12, 20],
            "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]],
        },
        "bwe": {
            **_BIG, "upsample_rates": [6, 10], "upsample_kernel_sizes": [8, 12],
            "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]],
            "input_sampling_rate": 16000, "output_sampling_rate": 48000, "n_fft": 64,
            "hop_length": 20, "num_mels": 64,
        },
    },
}  # fmt: skip
# Of the geometry `twins`: its latents as LTX-2.3's.
TWINS: dict[str, Config] = {**BASE, "audio_vae": _vae(4, [1, 1, 2], 1, 8)}

# name -> config.audio_vae: as LTX-2.3's, and other in every count
AUDIO_VAES: dict[str, Config] = {
    "sound": _vae(8, [1, 2, 4], 2, 8),
    "odd": _vae(12, [1, 1, 3], 1, 3),
}

# name -> config.vocoder: as LTX-2.3's and as LTX-2.0's, but for the channels; and other in every
# count, with a hop that the first generator's samples do not divide into
VOCODERS: dict[str, Config] = {
    "sound": {
        "vocoder": {
            **_BIG, "upsample_initial_channel": 64, "upsample_rates": [5, 2, 2, 2, 2, 2],
            "upsample_kernel_sizes": [11, 4, 4, 4, 4, 4],
        },
        "bwe": {
            **_BIG, "upsample_initial_channel": 64, "upsample_rates": [6, 5, 2, 2, 2],
            "upsample_kernel_sizes": [12, 11, 4, 4, 4], "input_sampling_rate": 16000,
            "output_sampling_rate": 48000, "n_fft": 512, "hop_length": 80, "num_mels": 64,
        },
    },
    "hifigan": {
        **_GENERATOR, "resblock": "1", "upsample_initial_channel": 64,
        "upsample_rates": [6, 5, 2, 2, 2], "upsample_kernel_sizes": [16, 15, 8, 4, 4],
    },
    "odd": {
        "vocoder": {
            **_BIG, "upsample_initial_channel": 40, "upsample_rates": [7, 3],
            "upsample_kernel_sizes": [13, 9], "resblock_kernel_sizes": [5, 3],
            "resblock_dilation_sizes": [[2, 1, 4], [1, 3, 2]], "use_tanh_at_final": True,
            "use_bias_at_final": True,
        },
        "bwe": {
            **_BIG, "upsample_initial_channel": 24, "upsample_rates": [4, 10],
            "upsample_kernel_sizes": [4, 16], "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 2, 3]], "input_sampling_rate": 12000,
            "output_sampling_rate": 24000, "n_fft": 64, "hop_length": 20, "num_mels": 64,
        },
    },
}  # fmt: skip


def _conv(t: Shapes, name: str, out: int, width: int, *kernel: int, bias: bool = True) -> None:
    t[name + ".weight"] = (out, width, *kernel)
    if bias:
        t[name + ".bias"] = (out,)


def _blocks(t: Shapes, name: str, count: int, width: int, out: int) -> None:
    for i in range(count):
        block = f"{name}.{i}"
        _conv(t, f"{block}.conv1.conv", out, width, 3, 3)
        _conv(t, f"{block}.conv2.conv", out, out, 3, 3)
        if width != out:
            _conv(t, f"{block}.nin_shortcut.conv", out, width, 1, 1)
        width = out


def audio_vae(config: Config) -> Shapes:
    c = config["model"]["params"]["ddconfig"]
    widths = [c["ch"] * times for times in c["ch_mult"]]
    last, latent = widths[-1], c["z_channels"]
    t: Shapes = {}
    for half in ("encoder", "decoder"):
        for i in (1, 2):
            for j in (1, 2):
                _conv(t, f"audio_vae.{half}.mid.block_{i}.conv{j}.conv", last, last, 3, 3)
    encoder, decoder = "audio_vae.encoder.", "audio_vae.decoder."
    _conv(t, encoder + "conv_in.conv", c["ch"], 2, 3, 3)
    _conv(t, encoder + "conv_out.conv", 2 * latent, last, 3, 3)
    _conv(t, decoder + "conv_in.conv", last, latent, 3, 3)
    _conv(t, decoder + "conv_out.conv", 2, widths[0], 3, 3)
    for i, out in enumerate(widths):
        before, after = widths[max(i - 1, 0)], widths[min(i + 1, len(widths) - 1)]
        _blocks(t, f"{encoder}down.{i}.block", c["num_res_blocks"], before, out)
        _blocks(t, f"{decoder}up.{i}.block", c["num_res_blocks"] + 1, after, out)
        if i + 1 < len(widths):
            _conv(t, f"{encoder}down.{i}.downsample.conv", out, out, 3, 3)
        if i > 0:
            _conv(t, f"{decoder}up.{i}.upsample.conv.conv", out, out, 3, 3)
    tokens = latent * (c["mel_bins"] >> (len(widths) - 1))
    for name in ("mean", "std"):
        t[f"audio_vae.per_channel_statistics.{name}-of-means"] = (tokens,)
    return t


def _snake(t: Shapes, name: str, width: int) -> None:
    t[name + ".act.alpha"] = t[name + ".act.beta"] = (width,)
    t[name + ".upsample.filter"] = t[name + ".downsample.lowpass.filter"] = (1, 1, 12)


def _generator(t: Shapes, name: str, c: Config) -> None:
    kernels = c.get("resblock_kernel_sizes", [3, 7, 11])
    dilations = c.get("resblock_dilation_sizes", [[1, 3, 5]] * len(kernels))
    width, block, snake = c["upsample_initial_channel"], 0, c["resblock"] == "AMP1"
    _conv(t, name + "conv_pre", width, 128, 7)
    for i, kernel in enumerate(c["upsample_kernel_sizes"]):
        t[f"{name}ups.{i}.weight"] = (width, width // 2, kernel)
        width //= 2
        t[f"{name}ups.{i}.bias"] = (width,)
        for size, row in zip(kernels, dilations, strict=True):
            for j in range(len(row)):
                for k in (1, 2):
                    _conv(t, f"{name}resblocks.{block}.convs{k}.{j}", width, width, size)
                    if snake:
                        _snake(t, f"{name}resblocks.{block}.acts{k}.{j}", width)
            block += 1
    if snake:
        _snake(t, name + "act_post", width)
    _conv(t, name + "conv_post", 2, width, 7, bias=c.get("use_bias_at_final", True))


def vocoder(config: Config) -> Shapes:
    t: Shapes = {}
    if "bwe" not in config:
        _generator(t, "vocoder.", config)
        return t
    _generator(t, "vocoder.vocoder.", config["vocoder"])
    _generator(t, "vocoder.bwe_generator.", config["bwe"])
    window = config["bwe"]["n_fft"]
    for name in ("forward", "inverse"):
        t[f"vocoder.mel_stft.stft_fn.{name}_basis"] = (window + 2, 1, window)
    t["vocoder.mel_stft.mel_basis"] = (64, window // 2 + 1)
    return t
