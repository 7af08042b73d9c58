#!/usr/bin/env python3
"""Golden file of the video decoder that denoises: what diffusers computes on the tiny checkpoint.

    python scripts/golden_windows.py

Needs diffusers 0.42 with torch on the CPU. Two things are LTX-2.5's own, and diffusers' differ: the
columns at the left and right of the last stage are seen repeated (`copied`), and latents that are
smaller than a window are repeated at their edges, whose frames are cut off. Tiles are blended as
the comments of native/src/vae/tiles.h say. Every number is in float32; of what is large, every
`STRIDE`th value is kept.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import golden_files
import make_tiny
import torch
from diffusers.models.autoencoders import ltx2_diffusion_decoder as ltx
from safetensors.torch import load_file
from tiny_geometries import model_config

STRIDE = 251
# name -> latents' frames, rows, columns
SIZES = {"usual": (3, 5, 7), "small": (2, 1, 2), "long": (6, 3, 4)}


class Copied(ltx.LTX2VideoVaeNeighborhoodAttnProcessor):  # type: ignore[misc]
    """Columns see copies of the first and the last one, around which windows stay centred."""

    def __call__(self, attn: Any, hidden_states: torch.Tensor, block_mask: Any = None) -> Any:
        more = attn.kernel_size[2] // 2
        left = hidden_states[:, :, :, :1].expand(-1, -1, -1, more, -1)
        right = hidden_states[:, :, :, -1:].expand(-1, -1, -1, more, -1)
        wide = torch.cat([left, hidden_states, right], dim=3)
        return super().__call__(attn, wide, None)[:, :, :, more:-more]


def decoder(path: Path, copied: bool) -> torch.nn.Module:
    """The official names are diffusers', but for these."""
    c = model_config("windows")["vae"]["decoder"]
    model = ltx.LTX2VideoDiffusionDecoder3d(
        in_channels=c["in_channels"],
        patch_size=c["patch_size"],
        head_dim=c["head_dim"],
        stage_channels=c["stage_channels"],
        stage_depths=c["stage_depths"],
        stage_kernels=c["stage_kernels"],
        upsample_strides=[u[0] for u in c["upsamples"]],
        upsample_channel_reductions=[u[1] for u in c["upsamples"]],
        stage5_kernel=c["stage5_kernel"],
        t_emb_dim=c["t_emb_dim"],
    )
    weights: dict[str, torch.Tensor] = {}
    for name, value in load_file(path).items():
        if not name.startswith("vae.decoder."):
            continue
        name = name.removeprefix("vae.decoder.")
        if ".qkv." in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                weights[name.replace("qkv", f"to_{part}")] = third
            continue
        for ours, theirs in (
            (".proj.", ".to_out.0."), ("q_norm", "norm_q"), ("k_norm", "norm_k")
        ):  # fmt: skip
            name = name.replace(ours, theirs) if ".attn." in name else name
        name = name.replace("t_embedder.mlp.0", "t_embedder.timestep_embedder.linear_1")
        name = name.replace("t_embedder.mlp.2", "t_embedder.timestep_embedder.linear_2")
        weights[name] = value
    del weights["type_emb"]
    model.load_state_dict(weights)
    if copied:
        for block in model.diff_blocks:
            block.attn.set_processor(Copied())
    return model.eval()


def padded(latent: torch.Tensor, least: tuple[int, int, int]) -> tuple[torch.Tensor, list[int]]:
    """Repeated at the edges, in time at the end alone; and how much came before each axis."""
    before = [0, 0, 0]
    for axis, size in enumerate(least):
        lack = max(0, size - latent.shape[axis + 2])
        before[axis] = 0 if axis == 0 else lack // 2
        index = torch.arange(-before[axis], latent.shape[axis + 2] + lack - before[axis])
        latent = latent.index_select(axis + 2, index.clamp(0, latent.shape[axis + 2] - 1))
    return latent, before


def spans(cells: int, size: int, overlap: int) -> list[tuple[int, int, int, int]]:
    if cells <= size:
        return [(0, cells, 0, 0)]
    count = -(-(cells - overlap) // (size - overlap))
    own = cells - overlap
    return [
        (own * i // count, own * (i + 1) // count + overlap, overlap * (i > 0),
         overlap * (i + 1 < count)) for i in range(count)
    ]  # fmt: skip


def shares(span: tuple[int, int, int, int], scale: int, lost: int = 0) -> torch.Tensor:
    begin, end, before, after = span
    out = torch.ones((end - begin) * scale - lost)
    for i in range(before * scale):
        out[i] = (i + 1) / (before * scale + 1)
    for i in range(after * scale):
        out[len(out) - after * scale + i] *= (after * scale - i) / (after * scale + 1)
    return out


def tiled(model: Any, z: torch.Tensor, noise: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """In tiles of so many frames and rows of the last stage but one, which overlap."""
    frames, space = size
    features = model.forward_stages_1_to_3(z)
    time, rows, columns = features.shape[1] - 8, features.shape[2], features.shape[3]
    out = torch.zeros_like(noise)
    overlap = min(8, space // 4)
    for t in spans(time, frames, frames * 3 // 10):
        for y in spans(rows, space, overlap):
            for x in spans(columns, space, overlap):
                end = None if t[1] == time else t[1]
                part = features[:, t[0] : end, y[0] : y[1], x[0] : x[1]]
                context = model.forward_stage_4(part, t[0] == 0, end is None)
                first = 2 * t[0] - (t[0] > 0)
                where = (
                    slice(None), slice(None), slice(first, first + context.shape[1]),
                    slice(8 * y[0], 8 * y[1]), slice(8 * x[0], 8 * x[1]),
                )  # fmt: skip
                pixels = model.denoise(context, noise[where], 1)
                mask = shares(t, 2, int(t[0] == 0))[:, None, None]
                mask = mask * shares(y, 8)[:, None] * shares(x, 8)
                out[where] += pixels * mask
    return out


def every(values: torch.Tensor) -> Any:
    return values.detach().flatten()[::STRIDE].numpy().copy()


def case(path: Path, size: str, copied: bool, steps: int, tile: tuple[int, int] | None) -> Any:
    model = decoder(path, copied)
    weights = load_file(path)
    mean = weights["vae.per_channel_statistics.mean-of-means"]
    deviation = weights["vae.per_channel_statistics.std-of-means"]
    shape = SIZES[size]
    given = torch.from_numpy(make_tiny.normal("golden", f"windows.{size}", (8, *shape)))
    z = (given * deviation[:, None, None, None] + mean[:, None, None, None])[None]
    z, before = padded(z, (3, 5, 5))
    frames, height, width = 1 + 8 * (z.shape[2] - 1), 16 * z.shape[3], 16 * z.shape[4]
    noise = make_tiny.normal("golden", f"windows.{size}.noise", (3, frames, height, width))
    x = torch.from_numpy(noise)[None]
    seen: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, (ltx.LTX2VideoVaeNABlock, ltx.LTX2VideoVaeDiffusionNABlock)):
            module.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out))
    if tile:
        pixels = tiled(model, z, x, tile)
        seen = {}
    else:
        context = model.forward_stage_4(model.forward_stages_1_to_3(z))
        pixels = model.denoise(context, x, steps)
        seen["context"] = context
    top, left = 16 * before[1], 16 * before[2]
    pixels = pixels[
        0, :, : 1 + 8 * (shape[0] - 1), top : top + 16 * shape[1], left : left + 16 * shape[2]
    ]
    print(size, copied, steps, tile, "deviation", float(pixels.std()))
    bytes_ = (((pixels + 1) / 2).clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 3, 0)
    return {"pixels": every(bytes_), **{name: every(value[0]) for name, value in seen.items()}}


def main() -> None:
    torch.set_grad_enabled(False)
    arrays: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as root:
        path = make_tiny.generate("windows", root) / "ltx-tiny-windows.safetensors"
        for name, args in {
            "usual": ("usual", True, 1, None),
            "shifted": ("usual", False, 1, None),
            "small": ("small", True, 1, None),
            "small.shifted": ("small", False, 1, None),
            "tiled": ("usual", True, 1, (10, 8)),
            "long.tiled": ("long", True, 1, (10, 8)),
        }.items():
            arrays |= {f"{name}.{key}": value for key, value in case(path, *args).items()}
    about = (__doc__ or "").split("\n")[0]
    packages = ("diffusers", "transformers", "torch", "numpy")
    golden_files.write("windows-vae", arrays, "golden_windows.py", about, packages, stride=STRIDE)


if __name__ == "__main__":
    main()
