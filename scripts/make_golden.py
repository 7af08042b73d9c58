#!/usr/bin/env python3
"""Golden files: what the official code computes on the tiny checkpoints, tap by tap.

    python scripts/make_golden.py                       # all of tests/golden
    python scripts/make_golden.py --only base-dit odd-vae
    python scripts/make_golden.py --full-width build/full   # true widths, not committed

Needs the reference environment (tests/golden/README.md). Each <geometry>-<component>.npz holds
C-contiguous float32, int32 or uint8 arrays; the .json next to it says what made them.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden_sound
import golden_text
import make_tiny
import numpy as np
import reference as ref
import tiny_shapes
import torch
from ltx_core.components.diffusion_steps import EulerDiffusionStep, Res2sDiffusionStep
from ltx_core.components.guiders import MultiModalGuider, MultiModalGuiderParams
from ltx_core.conditioning import VideoConditionByLatentIndex
from ltx_core.model.upsampler.model import upsample_video
from ltx_core.model.upsampler.model_configurator import LatentUpsamplerConfigurator
from ltx_core.types import LatentState, VideoPixelShape
from ltx_pipelines.utils.constants import LTX_2_3_PARAMS
from ltx_pipelines.utils.samplers import (
    _channelwise_normalize,
    euler_denoising_loop,
    gradient_estimating_euler_denoising_loop,
    res2s_audio_video_denoising_loop,
)
from reference import Reference
from tiny_geometries import GEOMETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Arrays = dict[str, np.ndarray]
PROMPT = "a red circle moves right on a blue background"
NEGATIVE = "blurry, out of focus, low contrast"
FPS = 24.0
REFINE = torch.tensor([0.909375, 0.725, 0.421875, 0.0])
PACKAGES = ("ltx-core", "ltx-pipelines", "torch", "transformers", "tokenizers", "numpy")


def array(tensor: torch.Tensor) -> np.ndarray:
    kind = np.int32 if tensor.dtype in (torch.int64, torch.int32) else np.float32
    return np.ascontiguousarray(tensor.detach().numpy().astype(kind))


def given(name: str, *shape: int) -> torch.Tensor:
    """Inputs come from the generator of the tiny checkpoints: normal, the same everywhere."""
    return torch.from_numpy(make_tiny.normal("golden", name, shape))


@contextmanager
def taps(model: torch.nn.Module, names: list[str], out: Arrays, prefix: str = "") -> Iterator[None]:
    """Keeps what the named modules give; the first of a tuple, without the batch axis."""

    def keep(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, result: Any) -> None:
            result = result[0] if isinstance(result, tuple) else result
            result = getattr(result, "x", result)
            out[prefix + name] = array(result[0] if result.ndim > 2 else result)

        return hook

    modules = dict(model.named_modules())
    handles = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stg_blocks(config: dict[str, Any]) -> list[int]:
    """Those that the file states, else the official ones of LTX-2.3."""
    stated: list[int] = config.get("sampling", {}).get("stg_blocks")
    return LTX_2_3_PARAMS.video_guider_params.stg_blocks if stated is None else stated


def gemma(r: Reference) -> Arrays:
    """Hidden states S0..SN of the real tokens for a short and a long prompt."""
    out: Arrays = {}
    for name, prompt in (("prompt", PROMPT), ("long", golden_text.LONG), ("empty", "")):
        text = r.encode(prompt)
        out[name + ".ids"] = array(text.ids)
        for i, state in enumerate(text.states):
            out[f"{name}.S{i}"] = array(state)
    return out


def connector(r: Reference) -> Arrays:
    """Features and context of three prompts; `long` fills every row of a small text length."""
    out: Arrays = {}
    for name, prompt in (("prompt", PROMPT), ("long", golden_text.LONG), ("empty", "")):
        text = r.encode(prompt)
        out[name + ".features"] = array(text.features)
        rows = array(text.context[0])
        # Of 1024 rows the first 64 and every 16th are kept.
        out[name + ".context"] = rows if len(rows) <= 128 else rows[:64]
        if len(rows) > 128:
            out[name + ".context.every16"] = np.ascontiguousarray(rows[::16])
    return out


def _modality_taps(layers: int) -> list[str]:
    """Of many blocks the first and the last three."""
    some = range(layers) if layers < 8 else (0, *range(layers - 3, layers))
    blocks = [f"transformer_blocks.{i}" for i in some]
    parts = [f"{b}.{p}" for b in blocks for p in ("attn1", "attn2", "ff")]
    heads = ["patchify_proj", "adaln_single", "adaln_single.emb", "prompt_adaln_single", "norm_out"]
    return blocks + parts + heads


def dit(r: Reference) -> Arrays:
    """Velocity for T2V, I2V (a token at 0, one in between), the STG pass; taps of the first two."""
    model, c = r.dit(), r.transformer_config
    width = c["num_attention_heads"] * c["attention_head_dim"]
    state, _ = r.state(VideoPixelShape(1, 9, 64, 96, FPS))
    state = ref.noised(state, given("dit.latent", *state.latent.shape))
    context = torch.nn.functional.rms_norm(given("dit.context", 1, 24, width), (width,))
    sigma, stg = torch.tensor(0.725), stg_blocks(r.config)
    mask = state.denoise_mask.clone()
    mask[:, :6], mask[:, 6] = 0.0, 0.3
    image = replace(state, denoise_mask=mask)
    pe = model.video_args_preprocessor.prepare(ref.modality(state, context, sigma))
    out: Arrays = {
        "latent": array(state.latent[0]),
        "context": array(context[0]),
        "sigma": np.array([0.725], np.float32),
        "mask": array(mask[0, :, 0]),
        "shape": np.array([2, 2, 3], np.int32),
        "fps": np.array([FPS], np.float32),
        "stg_blocks": np.array(stg, np.int32),
        "positions": array(state.positions[0]),
        # [tokens, heads, head_dim / 2]
        "rope.cos": array(pe.positional_embeddings[0][0].transpose(0, 1)),
        "rope.sin": array(pe.positional_embeddings[1][0].transpose(0, 1)),
        "timesteps": array(pe.timesteps[0]),
        "embedded_timestep": array(pe.embedded_timestep[0]),
        "prompt_timestep": array(pe.prompt_timestep[0]),
    }
    names = _modality_taps(c["num_layers"])
    with taps(model, names, out):
        out["velocity"] = array(model(ref.modality(state, context, sigma), None, None)[0][0])
    with taps(model, names, out, "i2v."):
        out["i2v.velocity"] = array(model(ref.modality(image, context, sigma), None, None)[0][0])
    how = ref.perturbed(stg)
    with taps(model, [n for n in names if n.startswith("transformer_blocks")], out, "stg."):
        out["stg.velocity"] = array(model(ref.modality(state, context, sigma), None, how)[0][0])
    low = ref.modality(state, context, torch.tensor(0.1))
    out["low.velocity"] = array(model(low, None, None)[0][0])
    return {n: a for n, a in out.items() if a.size}


def vae(r: Reference) -> Arrays:
    """An image, a clip of 17 frames, a latent of two frames with taps and one of three."""
    out: Arrays = {}
    encoder, decoder = r.encoder(), r.decoder()
    pixels = torch.from_numpy(golden_text.clip(17, 64, 96)).float() / 127.5 - 1.0
    pixels = pixels.permute(3, 0, 1, 2)[None]
    downs = ["conv_in", *(f"down_blocks.{i}" for i in range(len(encoder.down_blocks))), "conv_out"]
    ups = ["conv_in", *(f"up_blocks.{i}" for i in range(len(decoder.up_blocks))), "conv_out"]
    out["clip"] = golden_text.clip(17, 64, 96)
    with taps(encoder, downs, out, "image."):
        out["image.latent"] = array(encoder(pixels[:, :, :1])[0])
    with taps(encoder, [downs[-2]], out, "clip."):
        out["clip.latent"] = array(encoder(pixels)[0])
    channels = r.config["vae"]["latent_channels"]
    latent = given("vae.latent", 1, channels, 2, 2, 2)
    out["decode.latent"] = array(latent[0])
    with taps(decoder, ups, out, "decode."):
        out["decode.frames"] = array(decoder(latent)[0])
    latent = given("vae.latent3", 1, channels, 3, 2, 3)
    out["decode3.latent"] = array(latent[0])
    out["decode3.pixels"] = ref.to_bytes(decoder(latent))
    return out


def small_vae(r: Reference) -> Arrays:
    """An image, a clip of 9 frames, a latent of two frames; taps."""
    out: Arrays = {}
    encoder, decoder = r.encoder(), r.decoder()
    out["clip"] = golden_text.clip(9, 32, 64)
    pixels = torch.from_numpy(out["clip"]).float() / 127.5 - 1.0
    pixels = pixels.permute(3, 0, 1, 2)[None]
    downs = ["conv_in", *(f"down_blocks.{i}" for i in range(len(encoder.down_blocks))), "conv_out"]
    with taps(encoder, downs, out, "image."):
        out["image.latent"] = array(encoder(pixels[:, :, :1])[0])
    with taps(encoder, [downs[-2]], out, "clip."):
        out["clip.latent"] = array(encoder(pixels)[0])
    latent = given("vae.latent", 1, r.config["vae"]["latent_channels"], 2, 1, 2)
    out["decode.latent"] = array(latent[0])
    with taps(decoder, ["conv_in", *(f"up_blocks.{i}" for i in range(9))], out, "decode."):
        out["decode.pixels"] = ref.to_bytes(decoder(latent))
    return out


def image(_r: Reference | None = None) -> Arrays:
    """Pictures scaled to cover a target and cut to its middle, frames x height x width x 3."""
    out: Arrays = {n: golden_text.picture(n) for n in ("fits", "wide", "tall")}
    for name in list(out):
        for height, width in ((32, 96), (96, 32), (64, 64)):
            pixels = ref.image_pixels(out[name], height, width)
            out[f"{name}.{height}x{width}"] = array(pixels[0].permute(1, 2, 3, 0))
    return out


def sampler(_r: Reference | None = None) -> Arrays:
    """Schedules of 2 to 200 steps, of most a checksum of their bits; guidance on given x0s."""
    out: Arrays = {"sigmas.distilled": array(ref.sigmas("distilled", 8))}
    for name in ("ltx2", "linear_quadratic"):  # one step of ltx2 is 0/0 in the reference's stretch
        all_steps = {n: array(ref.sigmas(name, n)) for n in range(2, 201)}
        out |= {f"sigmas.{name}.{n}": all_steps[n] for n in (2, 3, 4, 8, 15, 20, 30, 40)}
        sums = [zlib.crc32(values.astype("<f4").tobytes()) for values in all_steps.values()]
        out[f"sums.{name}"] = np.array(sums, np.uint32).view(np.int32)
    cond, uncond, stg = (given(f"x0.{n}", 1, 12, 8) for n in ("cond", "uncond", "stg"))
    out |= {"cond": array(cond[0]), "uncond": array(uncond[0]), "perturbed": array(stg[0])}
    for cfg, scale, rescale in ((3.0, 1.0, 0.7), (3.0, 0.0, 0.0), (1.0, 1.0, 0.0), (2.5, 0.5, 1.0)):
        params = MultiModalGuiderParams(cfg_scale=cfg, stg_scale=scale, rescale_scale=rescale)
        pred = MultiModalGuider(params=params).calculate(cond, uncond, stg, 0.0)
        out[f"guided.{cfg:g}.{scale:g}.{rescale:g}"] = array(pred[0])
    return out


def upsampler(_r: Reference | None = None) -> Arrays:
    """Every kind of latent upsampler, of latents that are not normalised."""
    out: Arrays = {}
    for kind, (stated, *_) in tiny_shapes.UPSAMPLERS.items():
        config = {**tiny_shapes.UPSAMPLER_SIZES, **stated}
        model = LatentUpsamplerConfigurator.from_config(config).eval()
        weights = {
            name: torch.from_numpy(make_tiny.tensor(kind, name, shape))
            for name, shape in tiny_shapes.upsampler(kind).items()
        }
        kernel = {k: v for k, v in model.state_dict().items() if k.endswith("kernel")}
        model.load_state_dict({**weights, **kernel})
        for size, shape in (("wide", (3, 4, 6)), ("odd", (2, 3, 5)), ("one", (1, 2, 3))):
            latent = given(f"upsampler.{size}", 1, config["in_channels"], *shape)
            out[f"{size}.latent"] = array(latent[0])
            out[f"{kind}.{size}"] = array(model(latent)[0])
    return out


def _toy(state: LatentState, sigma: float) -> torch.Tensor:
    """In place of a model: what it takes the final latents for."""
    x: torch.Tensor = torch.tanh(0.8 * state.latent + 0.3) * (1 - 0.5 * sigma) + 0.1 * sigma
    return x


def loops(_r: Reference | None = None) -> Arrays:
    """Each sampler's loop on two streams, with a formula in place of the model."""
    out: Arrays = {}
    states = []
    for name, tokens, channels in (("video", 10, 8), ("audio", 6, 4)):
        mask = torch.tensor([0.0, 1.0, 0.5, *[1.0] * (tokens - 3)]).reshape(1, tokens, 1)
        latent, clean = (given(f"{name}.{n}", 1, tokens, channels) for n in ("latent", "clean"))
        latent = latent * mask + clean * (1 - mask)
        states.append(LatentState(latent, mask, torch.zeros(1, 3, tokens, 2), clean))
        out |= {f"{name}.latent": array(latent[0]), f"{name}.clean": array(clean[0])}
        out[f"{name}.mask"] = array(mask[0, :, 0])

    def denoise(video_state: Any, audio_state: Any, sigmas: Any, step_index: int) -> Any:
        sigma = float(sigmas[step_index])
        return _toy(video_state, sigma), _toy(audio_state, sigma)

    drawn: dict[str, list[torch.Tensor]] = {"video": [], "audio": []}
    count = {"step": 0, "substep": 0}

    def new_noise(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        kind = "step" if generator.initial_seed() == 1 else "substep"
        stream, draw = ("video", "audio")[count[kind] % 2], count[kind] // 2
        count[kind] += 1
        number = 2 * draw + (kind == "step")
        noise = given(f"{stream}.noise.{number}", *x.shape)
        drawn[stream].append(noise)
        wide = noise.double()
        return _channelwise_normalize((wide - wide.mean()) / wide.std())

    for name, sigmas in (
        ("short", ref.sigmas("ltx2", 5)),
        ("distilled", ref.sigmas("distilled", 8)),
    ):
        out[f"{name}.sigmas"] = array(sigmas)
        for sampler, loop in (
            ("euler", euler_denoising_loop),
            ("gradient_estimation", gradient_estimating_euler_denoising_loop),
        ):
            done = loop(sigmas, *states, EulerDiffusionStep(), denoise)
            for stream, state in zip(("video", "audio"), done, strict=True):
                out[f"{name}.{sampler}.{stream}"] = array(state.latent[0])
        count.update(step=0, substep=0)
        for noises in drawn.values():
            noises.clear()
        done = res2s_audio_video_denoising_loop(
            sigmas, *states, Res2sDiffusionStep(), denoise, noise_seed=1,
            new_noise_fn=new_noise, model_dtype=torch.float32,
        )  # fmt: skip
        for stream, state in zip(("video", "audio"), done, strict=True):
            out[f"{name}.res_2s.{stream}"] = array(state.latent[0])
            out[f"{name}.noise.{stream}"] = array(torch.cat(drawn[stream]))
    return out


def _guidance(cfg: float, stg: float, rescale: float, blocks: list[int]) -> MultiModalGuiderParams:
    return MultiModalGuiderParams(
        cfg_scale=cfg, stg_scale=stg, rescale_scale=rescale, stg_blocks=blocks
    )


# name -> schedule, steps, (cfg, stg, rescale), pixels (frames, height, width), images
# as (picture, frame, strength). Pictures are in golden_text.
Images = list[tuple[str, int, float]]
CASES: dict[str, tuple[str, int, tuple[float, float, float], tuple[int, int, int], Images]] = {
    "t2v": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 96), []),
    "i2v": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("fits", 0, 1.0)]),
    "i2v.resized": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("wide", 0, 1.0)]),
    "i2v.weak": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("tall", 0, 0.6)]),
    "dev.t2v": ("ltx2", 4, (3.0, 1.0, 0.7), (17, 64, 64), []),
    "dev.i2v": ("ltx2", 4, (3.0, 1.0, 0.7), (9, 64, 64), [("wide", 0, 1.0)]),
    "dev.default": ("ltx2", 30, (3.0, 1.0, 0.7), (9, 64, 64), []),
    "quadratic.t2v": ("linear_quadratic", 3, (2.0, 0.5, 0.4), (9, 64, 96), []),
    "quadratic.i2v": ("linear_quadratic", 3, (2.0, 0.5, 0.4), (9, 64, 64), [("wide", 0, 1.0)]),
    "keyframe": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("fits", 5, 1.0)]),
    "keyframe.weak": ("distilled", 8, (1.0, 0.0, 0.0), (9, 64, 64), [("wide", 6, 0.7)]),
    "two": ("ltx2", 4, (3.0, 1.0, 0.7), (9, 64, 64), [("fits", 0, 1.0), ("tall", 8, 1.0)]),
    "guided.t2v": ("ltx2", 10, (3.0, 1.0, 0.7), (9, 64, 64), []),
    "guided.i2v": ("ltx2", 7, (3.0, 1.0, 0.7), (9, 32, 64), [("wide", 0, 1.0)]),
    "guided.wide": ("ltx2", 9, (4.0, 0.5, 0.5), (9, 64, 160), []),
    "keyframes": (
        "ltx2", 6, (3.0, 1.0, 0.7), (9, 32, 160),
        [("wide", 0, 0.9), ("fits", 3, 1.0), ("tall", 8, 0.7)],
    ),
}  # fmt: skip
OF_BASE = ["t2v", "i2v", "i2v.resized", "i2v.weak", "dev.t2v", "dev.i2v", "dev.default",
           "keyframe", "keyframe.weak"]  # fmt: skip


def e2e(r: Reference, names: list[str]) -> Arrays:
    """Prompt to frames. `noise` has the latent's shape; `noise.appended` is for keyframe tokens."""
    pictures = sorted({image[0] for name in names for image in CASES[name][4]})
    out: Arrays = {n: golden_text.picture(n) for n in pictures}
    positive, negative = r.encode(PROMPT).context, r.encode(NEGATIVE).context
    model, encoder, decoder = r.dit(), r.encoder(), r.decoder()
    for name in names:
        schedule, steps, guidance, (frames, height, width), images = CASES[name]
        state, tools = r.state(VideoPixelShape(1, frames, height, width, FPS))
        shape = tools.target_shape
        noise = given(f"noise.{name}", *shape.to_torch_shape())
        tokens = r.patchifier.patchify(noise)
        later = sum(image[1] > 0 for image in images)
        more = given(
            f"noise.{name}.appended", later, shape.height * shape.width, shape.channels
        ).flatten(0, 1)
        if later:
            tokens = torch.cat([tokens, more[None]], 1)
            out[f"{name}.noise.appended"] = array(more)
        for picture, frame, strength in images:
            latent = encoder(ref.image_pixels(out[picture], height, width))
            if frame == 0:
                state = VideoConditionByLatentIndex(latent, strength, 0).apply_to(state, tools)
            else:
                state = ref.keyframe(state, tools, latent, frame, strength)
        state = ref.noised(state, tokens)
        params = _guidance(*guidance, stg_blocks(r.config))
        state = ref.denoise(model, state, ref.sigmas(schedule, steps), params, positive, negative)
        latents = ref.latents_of(state, tools)
        video = decoder(latents)
        out[f"{name}.noise"], out[f"{name}.latents"] = array(noise[0]), array(latents[0])
        out[f"{name}.pixels"] = ref.to_bytes(video)
    return out


STAGES: dict[str, tuple[tuple[int, int, int], Images]] = {  # pixels of the whole, images
    "t2v": ((9, 64, 128), []),
    "i2v": ((9, 128, 64), [("wide", 0, 1.0), ("fits", 8, 0.8)]),
}


def two_stage(r: Reference) -> Arrays:
    """The distilled recipe: half the size, enlarged, three more steps; `noise` is of both."""
    out: Arrays = {n: golden_text.picture(n) for n in ("wide", "fits")}
    positive = r.encode(PROMPT).context
    model, encoder, decoder = r.dit(), r.encoder(), r.decoder()
    upsampler = LatentUpsamplerConfigurator.from_config(
        {**tiny_shapes.UPSAMPLER_SIZES, "spatial_upsample": True}
    ).eval()
    upsampler.load_state_dict(
        {
            name: torch.from_numpy(make_tiny.tensor("spatial", name, shape))
            for name, shape in tiny_shapes.upsampler("spatial").items()
        }
    )
    plain = _guidance(1.0, 0.0, 0.0, [])
    for name, ((frames, height, width), images) in STAGES.items():
        latents, noises = None, []
        for divisor, steps, share in ((2, ref.sigmas("distilled", 8), 1.0), (1, REFINE, 0.909375)):
            size = (height // divisor, width // divisor)
            state, tools = r.state(VideoPixelShape(1, frames, *size, FPS))
            shape = tools.target_shape
            if latents is not None:
                large = upsample_video(latents, encoder, upsampler)
                tokens = r.patchifier.patchify(large)
                state = replace(state, latent=tokens, clean_latent=tokens)
            noise = given(f"noise.{name}.{divisor}", *shape.to_torch_shape())
            noises.append(array(noise[0]).ravel())
            tokens = r.patchifier.patchify(noise)
            for picture, frame, strength in images:
                latent = encoder(ref.image_pixels(out[picture], *size))
                if frame == 0:
                    state = VideoConditionByLatentIndex(latent, strength, 0).apply_to(state, tools)
                    continue
                state = ref.keyframe(state, tools, latent, frame, strength)
                more = given(
                    f"noise.{name}.{divisor}.{frame}", shape.height * shape.width, shape.channels
                )
                tokens = torch.cat([tokens, more[None]], 1)
                noises.append(np.ascontiguousarray(array(more).T).ravel())
            state = ref.noised(state, tokens, share)
            state = ref.denoise(model, state, steps, plain, positive, None)
            latents = ref.latents_of(state, tools)
        assert latents is not None
        out[f"{name}.noise"] = np.concatenate(noises)
        out[f"{name}.latents"] = array(latents[0])
        out[f"{name}.pixels"] = ref.to_bytes(decoder(latents))
    return out


MAKERS: dict[str, Callable[[Reference], Arrays]] = {
    "base-gemma": gemma,
    "odd-gemma": gemma,
    "base-connector": connector,
    "odd-connector": connector,
    "plain-connector": connector,
    "base-dit": dit,
    "odd-dit": dit,
    "plain-dit": dit,
    "base-vae": vae,
    "odd-vae": vae,
    "plain-vae": vae,
    "all-image": image,
    "all-upsampler": upsampler,
    "all-loops": loops,
    "all-sound": lambda _r: golden_sound.sound(given),
    "all-sampler": sampler,
    "base-e2e": lambda r: e2e(r, OF_BASE),
    "odd-e2e": lambda r: e2e(r, ["quadratic.t2v", "quadratic.i2v", "two"]),
    "heads-e2e": lambda r: e2e(r, ["guided.t2v", "guided.i2v"]),
    "deep-e2e": lambda r: e2e(r, ["dev.default", "guided.i2v"]),
    "bf16-e2e": lambda r: e2e(r, ["guided.t2v", "guided.i2v"]),
    "wide-e2e": lambda r: e2e(r, ["guided.wide", "keyframes"]),
    "bf16-stages": two_stage,
    "all-tokenizer": golden_text.tokenizer,
}
for _name in ("heads", "deep", "bf16", "wide"):
    for _part, _maker in (
        ("gemma", gemma), ("connector", connector), ("dit", dit), ("vae", small_vae)
    ):  # fmt: skip
        MAKERS[f"{_name}-{_part}"] = _maker


def write(folder: Path, name: str, arrays: Arrays, about: str, command: str = "") -> None:
    for key, value in arrays.items():
        assert value.dtype in (np.float32, np.int32, np.uint8), (key, value.dtype)
        assert value.flags.c_contiguous, key
        assert np.isfinite(value).all(), key
        assert "/" not in key, key
    folder.mkdir(parents=True, exist_ok=True)
    packages = (*PACKAGES, "gguf") if "--wheel" in command else PACKAGES
    np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    notes: dict[str, Any] = {
        "command": command or f"python scripts/make_golden.py --only {name}",
        "about": about,
        "versions": {p: version(p) for p in packages} | {"python": platform.python_version()},
        "dtype": "float32",
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "arrays": {k: [str(v.dtype), *v.shape] for k, v in sorted(arrays.items())},
    }
    if command:  # not of the tiny prompts
        del notes["prompt"], notes["negative_prompt"]
    if name.endswith("-e2e"):
        notes["fps"] = FPS
        notes["stg_blocks"] = stg_blocks(GEOMETRIES[name.split("-")[0]])
        notes["cases"] = {
            c: dict(
                zip(
                    ("schedule", "steps", "guidance_stg_rescale", "frames_height_width", "images"),
                    CASES[c],
                    strict=True,
                )
            )
            for c in CASES
            if f"{c}.latents" in arrays
        }
    (folder / f"{name}.json").write_text(json.dumps(notes, indent=1) + "\n", newline="\n")
    size = (folder / f"{name}.npz").stat().st_size
    print(f"{name}: {len(arrays)} arrays, {size / 1e3:.0f} kB")


def make(names: list[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as root:
        for name in names:
            geometry = name.split("-")[0].replace("all", "base")
            place = Path(root) / geometry
            if not place.exists():
                make_tiny.generate(geometry, place)
            maker = MAKERS[name]
            write(folder, name, maker(Reference(place)), (maker.__doc__ or "prompt to frames"))


def full_width(folder: Path) -> None:
    """The true widths: checkpoint and golden side by side in `folder`, several GB."""
    place = folder / "full"
    if not place.exists():
        make_tiny.generate("full", place)
    r = Reference(place)
    for name, maker in (("connector", connector), ("dit", dit), ("vae", vae)):
        write(folder, f"full-{name}", maker(r), maker.__doc__ or "")
    write(folder, "full-e2e", e2e(r, ["i2v.resized", "dev.t2v"]), "prompt to frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=sorted(MAKERS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "tests" / "golden")
    parser.add_argument("--full-width", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    if args.full_width:
        full_width(args.full_width)
    else:
        make(args.only or list(MAKERS), args.out)


if __name__ == "__main__":
    main()
