"""The specification's rules for VAE, positions and sampling in numpy, with their known mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from rules import F, Weights, silu

_STATISTICS = "vae.per_channel_statistics."
_STRIDES = {"space": (1, 2, 2), "time": (2, 1, 1), "all": (2, 2, 2)}


def stride(kind: str) -> tuple[int, int, int]:
    return _STRIDES[kind.split("_")[1]]


def pixel_norm(x: F) -> F:
    y: F = x / np.sqrt((x * x).mean(0, keepdims=True) + 1e-8)
    return y


def conv(w: Weights, name: str, x: F, causal: bool, wrong: str = "") -> F:
    first, last = x[:, :1], x[:, -1:]
    if wrong == "zeros in time":
        first, last = np.zeros_like(first), np.zeros_like(last)
    if wrong == "the other padding in time":
        causal = not causal
    x = np.concatenate([first, first, x] if causal else [first, x, last], 1)
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    kernel = w[name + ".conv.weight"]
    windows = sliding_window_view(x, (3, 3, 3), axis=(1, 2, 3))
    flat = windows.transpose(0, 4, 5, 6, 1, 2, 3).reshape(kernel[0].size, -1)
    y: F = (kernel.reshape(len(kernel), -1) @ flat).reshape(-1, *windows.shape[1:4])
    return y + w[name + ".conv.bias"].reshape(-1, 1, 1, 1)


def res_blocks(w: Weights, name: str, count: int, x: F, causal: bool, wrong: str) -> F:
    for i in range(count):
        y = x
        for part in ("conv1", "conv2"):
            y = y if wrong == "no norm in blocks" else pixel_norm(y)
            y = conv(w, f"{name}.res_blocks.{i}.{part}", silu(y), causal, wrong)
        x = x + y
    return x


def to_depth(x: F, step: tuple[int, int, int]) -> F:
    c, f, h, w = x.shape
    t, s, q = step
    y: F = x.reshape(c, f // t, t, h // s, s, w // q, q).transpose(0, 2, 4, 6, 1, 3, 5)
    return y.reshape(-1, f // t, h // s, w // q)


def to_space(x: F, step: tuple[int, int, int], wrong: str = "") -> F:
    (t, s, q), (f, h, w) = step, x.shape[1:]
    y: F
    if wrong == "row fastest":
        y = x.reshape(-1, t, q, s, f, h, w).transpose(0, 4, 1, 5, 3, 6, 2)
    elif wrong == "channel fastest":
        y = x.reshape(t, s, q, -1, f, h, w).transpose(3, 4, 0, 5, 1, 6, 2)
    else:
        y = x.reshape(-1, t, s, q, f, h, w).transpose(0, 4, 1, 5, 2, 6, 3)
    return y.reshape(-1, f * t, h * s, w * q)


def patchify(x: F, wrong: str = "") -> F:
    """[3, frames, height, width] -> 48 channels: colour, column, row."""
    c, f, h, w = x.shape
    order = (0, 3, 5, 1, 2, 4) if wrong == "column fastest" else (0, 5, 3, 1, 2, 4)
    y: F = x.reshape(c, f, h // 4, 4, w // 4, 4).transpose(order)
    return y.reshape(-1, f, h // 4, w // 4)


def unpatchify(x: F, wrong: str = "") -> F:
    f, h, w = x.shape[1:]
    order = (0, 3, 4, 1, 5, 2) if wrong == "column fastest" else (0, 3, 4, 2, 5, 1)
    y: F = x.reshape(-1, 4, 4, f, h, w).transpose(order)
    return y.reshape(-1, f, 4 * h, 4 * w)


def to_bytes(frames: F, wrong: str = "") -> F:
    """[3, frames, height, width] around -1..1 -> bytes, colour last."""
    x = ((frames + 1) / 2).clip(0, 1) * 255
    x = np.rint(x) if wrong == "rounded" else np.floor(x)
    y: F = x.transpose(1, 2, 3, 0).astype(np.uint8)
    return y


def statistics(w: Weights) -> tuple[F, F]:
    mean, std = (w[_STATISTICS + name] for name in ("mean-of-means", "std-of-means"))
    return mean.reshape(-1, 1, 1, 1), std.reshape(-1, 1, 1, 1)


def _last(w: Weights, name: str, x: F, causal: bool, wrong: str) -> F:
    x = x if wrong == "no norm before conv_out" else pixel_norm(x)
    x = x if wrong == "no silu before conv_out" else silu(x)
    return conv(w, name + ".conv_out", x, causal, wrong)


def _down(w: Weights, name: str, kind: str, out: int, x: F, wrong: str) -> F:
    step = stride(kind)
    if step[0] == 2:
        front, back = x[:, :1], x[:, :0]
        if wrong == "last frame repeated instead":
            front, back = back, x[:, -1:]
        x = np.concatenate([front, x, back], 1)
    main, skip = conv(w, name + ".conv", x, True, wrong), x
    if step[0] == 2 and wrong == "skip begins with zeros":
        skip = np.concatenate([np.zeros_like(x[:, :1]), x[:, 1:]], 1)
    skip = to_depth(skip, step)
    groups = (-1, out) if wrong == "skip averages strided channels" else (out, -1)
    mean: F = skip.reshape(*groups, *skip.shape[1:]).mean(groups.index(-1))
    return to_depth(main, step) + mean


def encode(w: Weights, blocks: list[Any], pixels: F, wrong: str = "") -> F:
    """Pixels [3, frames, height, width] in -1..1 -> latent."""
    x = conv(w, "vae.encoder.conv_in", patchify(pixels, wrong), True, wrong)
    for i, (kind, options) in enumerate(blocks):
        name = f"vae.encoder.down_blocks.{i}"
        if kind == "res_x":
            x = res_blocks(w, name, options["num_layers"], x, True, wrong)
        else:
            x = _down(w, name, kind, len(x) * options["multiplier"], x, wrong)
    mean, std = statistics(w)
    y = _last(w, "vae.encoder", x, True, wrong)[:-1]
    return y if wrong == "latent not normalised" else (y - mean) / std


def decode(w: Weights, blocks: list[Any], latent: F, wrong: str = "") -> F:
    """Latent -> what conv_out gives; `blocks` as the header has them, in the encoder's order."""
    mean, std = statistics(w)
    x = latent if wrong == "latent not normalised" else latent * std + mean
    x = conv(w, "vae.decoder.conv_in", x, False, wrong)
    for i, (kind, options) in enumerate(reversed(blocks)):
        name = f"vae.decoder.up_blocks.{i}"
        if kind == "res_x":
            x = res_blocks(w, name, options["num_layers"], x, False, wrong)
            continue
        step = stride(kind)
        x = to_space(conv(w, name + ".conv", x, False, wrong), step, wrong)
        if step[0] == 2:
            x = x[:, :-1] if wrong == "last frame dropped" else x[:, 1:]
    return _last(w, "vae.decoder", x, False, wrong)


def middles(shape: tuple[int, int, int], fps: float, wrong: str = "") -> F:
    """The middle of every latent cell [3, tokens]: seconds, rows and columns of pixels."""
    f, h, w = np.mgrid[tuple(slice(n) for n in shape)].reshape(3, -1).astype(np.float64)
    start, end = np.maximum(0, 8 * f - 7), 8 * f + 1
    if wrong == "first frame spans eight":
        start, end = 8 * f, 8 * f + 8
    time = (start + end) / 2 / (1 if wrong == "frames for seconds" else fps)
    if wrong == "starts for middles":
        return np.stack([start / fps, 32 * h, 32 * w])
    if wrong == "cells for pixels":
        return np.stack([time, h + 0.5, w + 0.5])
    return np.stack([time, 32 * h + 16, 32 * w + 16])


def ltx2_sigmas(steps: int, tokens: int = 4096) -> list[float]:
    mu = 0.95 + (tokens - 1024) * 1.1 / 3072
    s = 1 - np.arange(steps) / steps
    s = np.exp(mu) / (np.exp(mu) + 1 / s - 1)
    return [*(1 - (1 - s) * 0.9 / (1 - s[-1])), 0.0]
