"""Golden files of sampling: schedules, guidance, the samplers' loops, latent upsamplers.

Imported by make_golden.py only.
"""

from __future__ import annotations

import zlib
from typing import Any

import make_tiny
import numpy as np
import reference as ref
import tiny_shapes
import torch
from ltx_core.components.diffusion_steps import EulerDiffusionStep, Res2sDiffusionStep
from ltx_core.components.guiders import MultiModalGuider, MultiModalGuiderParams
from ltx_core.model.upsampler.model_configurator import LatentUpsamplerConfigurator
from ltx_core.types import LatentState
from ltx_pipelines.utils.samplers import (
    _channelwise_normalize,
    euler_denoising_loop,
    gradient_estimating_euler_denoising_loop,
    res2s_audio_video_denoising_loop,
)
from reference import Arrays, Reference, array, given


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


def tiny_upsampler(kind: str, channels: int = tiny_shapes.UPSAMPLER_CHANNELS) -> Any:
    """The official model with the tiny weights of this kind."""
    stated, *_ = tiny_shapes.UPSAMPLERS[kind]
    config = {"in_channels": channels, **tiny_shapes.UPSAMPLER_SIZES, **stated}
    model = LatentUpsamplerConfigurator.from_config(config)
    weights = {
        name: torch.from_numpy(make_tiny.tensor(kind, name, shape))
        for name, shape in tiny_shapes.upsampler(kind, channels).items()
    }
    kernel = {k: v for k, v in model.state_dict().items() if k.endswith("kernel")}
    model.load_state_dict({**weights, **kernel})
    return model.eval()


def upsampler(_r: Reference | None = None) -> Arrays:
    """Every kind of latent upsampler, of latents that are not normalised."""
    out: Arrays = {}
    channels = tiny_shapes.UPSAMPLER_CHANNELS
    for kind in tiny_shapes.UPSAMPLERS:
        model = tiny_upsampler(kind)
        for size, shape in (("wide", (3, 2, 6)), ("odd", (2, 3, 5)), ("one", (1, 2, 3))):
            latent = given(f"upsampler.{size}", 1, channels, *shape)
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
