"""Schedules and the Euler loop, in PyTorch: how the trained model is judged before export."""

import itertools
import math
from typing import Any

import torch
from config import SAMPLING
from data import render
from model import TextToVideo, positions, to_latents, to_tokens
from train_vae import Vae

DISTILLED = [1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0]


def ltx2_sigmas(steps: int, tokens: int = 4096) -> list[float]:
    shift = math.exp(tokens * (2.05 - 0.95) / (4096 - 1024) + 0.95 - 1024 * 1.1 / 3072)
    shifted = [shift / (shift + (1 / (1 - i / steps) - 1)) for i in range(steps)]
    stretch = 0.9 / (1 - shifted[-1])
    return [1 - (1 - s) * stretch for s in shifted] + [0.0]


def linear_quadratic_sigmas(steps: int, threshold: float = 0.025) -> list[float]:
    if steps == 1:
        return [1.0, 0.0]
    linear = steps // 2
    rest = steps - linear
    delta = linear - threshold * steps
    a = delta / (linear * rest**2)
    b = threshold / linear - 2 * delta / rest**2
    c = a * linear**2
    removed = [i * threshold / linear for i in range(linear)]
    removed += [a * i * i + b * i + c for i in range(linear, steps)]
    return [1 - x for x in removed] + [0.0]


def sigmas(settings: dict[str, Any]) -> list[float]:
    if settings["schedule"] == "distilled":
        return DISTILLED
    if settings["schedule"] == "ltx2":
        return ltx2_sigmas(settings["steps"])
    return linear_quadratic_sigmas(settings["steps"])


@torch.no_grad()
def generate(
    model: TextToVideo,
    vae: Vae,
    prompts: Any,
    texts: list[str],
    settings: dict[str, Any] | None = None,
    images: torch.Tensor | None = None,
    seed: int = 0,
    size: tuple[int, int, int] = (25, 128, 128),
) -> torch.Tensor:
    """Clips [texts, 3, frames, height, width] in [-1, 1]; images [texts, 3, 1, height, width]."""
    settings = {**SAMPLING, **(settings or {})}
    frames, height, width = (size[0] - 1) // 8 + 1, size[1] // 32, size[2] // 32
    grid = positions(frames, height, width)
    count, tokens = len(texts), frames * height * width
    draw = torch.Generator().manual_seed(seed)
    z = torch.randn(count, tokens, vae.channels, generator=draw)
    mask, clean = torch.ones(count, tokens), torch.zeros_like(z)
    if images is not None:
        given = to_tokens(vae.encoder(images))
        mask[:, : given.shape[1]] = 0
        clean[:, : given.shape[1]] = given
        z[:, : given.shape[1]] = given
    context = model.context(*prompts(texts))
    guidance = settings["guidance"]
    empty = model.context(*prompts([""])).expand(count, -1, -1) if guidance != 1 else None
    schedule = sigmas(settings)
    for now, then in itertools.pairwise(schedule):
        sigma = torch.full((count,), now)
        tau = (mask * now)[..., None]
        x0 = z - tau * model.velocity(z, sigma, mask, grid, context)
        if empty is not None:
            away = z - tau * model.velocity(z, sigma, mask, grid, empty)
            guided = x0 + (guidance - 1) * (x0 - away)
            share = settings["rescale"]
            if share:
                spread = x0.std((1, 2), keepdim=True) / guided.std((1, 2), keepdim=True)
                guided = guided * (share * spread + 1 - share)
            x0 = guided
        x0 = torch.where(mask[..., None] > 0, x0, clean)
        z = z + (then - now) * (z - x0) / now
    parts = to_latents(z, frames, height, width).split(4)
    return torch.cat([vae.decoder(part) for part in parts])


def first_frames(scenes: list[Any], size: tuple[int, int, int] = (25, 128, 128)) -> torch.Tensor:
    return render(scenes, *size, time=slice(0, 1))
