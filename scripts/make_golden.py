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
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import golden_conditions
import golden_hq
import golden_joint
import golden_sampling
import golden_sound
import golden_text
import golden_v20
import golden_v25
import golden_videos
import make_tiny
import numpy as np
import reference as ref
import torch
from ltx_core.types import VideoPixelShape
from reference import FPS, NEGATIVE, PROMPT, Arrays, Reference, array, given, stg_blocks
from tiny_geometries import GEOMETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("ltx-core", "ltx-pipelines", "torch", "transformers", "tokenizers", "numpy")


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
    "all-upsampler": golden_sampling.upsampler,
    "all-loops": golden_sampling.loops,
    "all-sampler": golden_sampling.sampler,
    "base-e2e": lambda r: golden_videos.e2e(r, golden_videos.OF_BASE),
    "odd-e2e": lambda r: golden_videos.e2e(r, ["quadratic.t2v", "quadratic.i2v", "two"]),
    "heads-e2e": lambda r: golden_videos.e2e(r, ["guided.t2v", "guided.i2v"]),
    "deep-e2e": lambda r: golden_videos.e2e(r, ["dev.default", "guided.i2v"]),
    "bf16-e2e": lambda r: golden_videos.e2e(r, ["guided.t2v", "guided.i2v"]),
    "wide-e2e": lambda r: golden_videos.e2e(r, ["guided.wide", "keyframes"]),
    "bf16-stages": golden_videos.two_stage,
    "all-sound": lambda _r: golden_sound.sound(given),
    "joint-clip": golden_joint.clip,
    "duet-clip": golden_joint.clip,
    "joint-text": golden_joint.text,
    "duet-text": golden_joint.text,
    "joint-sound": golden_joint.joint,
    "duet-sound": golden_joint.joint,
    "bf16-conditions": golden_conditions.two_stage,
    "joint-hq": golden_hq.hq,
    "joint-conditions": golden_conditions.clips,
    "duet-conditions": golden_conditions.clips,
    "v20-text": golden_joint.text,
    "v20-sound": golden_v20.velocities,
    "v20-vae": golden_v20.vae,
    "v20-clip": golden_v20.clip,
    "v25-sound": golden_v25.velocities,
    "v25-clip": golden_v25.clip,
    "v25-slots": golden_v25.slots,
    "all-spread": golden_v25.spread,
    "all-tokenizer": golden_text.tokenizer,
    "base-writing": golden_text.writing,
    "odd-writing": golden_text.writing,
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
                    golden_videos.CASES[c],
                    strict=True,
                )
            )
            for c in golden_videos.CASES
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
    write(folder, "full-e2e", golden_videos.e2e(r, ["i2v.resized", "dev.t2v"]), "prompt to frames")


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
