"""The specification's known traps in VAE, sampling and files, one by one, and its invariances.

Each test compares the library with its rule and shows that the known mistake would be noticed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import rules
import rules_video as video
from golden_text import LONG
from numpy.typing import NDArray
from parity import Arrays, golden, run
from rules import WRONG, Weights, follows
from safetensors_file import read_safetensors, write_safetensors
from tiny_geometries import model_config
from tolerance import NMSE, nmse

import ltx2
from ltx2.convert import convert

Array = NDArray[Any]
Tiny = dict[str, Path]
VAE = model_config("base")["vae"]
PROMPT = "a red circle moves right on a blue background"  # of the golden contexts
DISTILLED = [1, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0]


def scaled(path: Path, out: Path, factor: float, *names: str) -> Path:
    """A copy of a file with some tensors multiplied."""
    tensors, metadata = read_safetensors(path)
    for name in names:
        dtype, values = tensors[name]
        tensors[name] = dtype, values * np.float32(factor)
    return write_safetensors(out, tensors, metadata)


# ---- decoder


@pytest.fixture(scope="module")
def decoded(tiny: Tiny, folder: Path) -> Arrays:
    latent = golden("base-vae")["decode.latent"]
    return run("vae-decode", [tiny["base"]], folder / "decode", latent=latent)


def tell_decoder(decoded: Arrays, weights: Weights, *mistakes: str) -> None:
    latent = golden("base-vae")["decode.latent"]
    have = decoded["vae.decoder.conv_out"].transpose(3, 0, 1, 2)
    follows(have, lambda w: video.decode(weights, VAE["decoder_blocks"], latent, w), *mistakes)


def test_the_decoder_normalises_and_activates_before_conv_out(
    decoded: Arrays, weights: Weights
) -> None:
    names = ("no norm before conv_out", "no silu before conv_out", "no norm in blocks")
    tell_decoder(decoded, weights, *names)


def test_latents_get_their_mean_and_deviation_back_before_decoding(
    decoded: Arrays, weights: Weights
) -> None:
    tell_decoder(decoded, weights, "latent not normalised")


def test_upsampling_has_the_column_fastest_and_drops_the_first_frame(
    decoded: Arrays, weights: Weights
) -> None:
    tell_decoder(decoded, weights, "row fastest", "channel fastest", "last frame dropped")


def test_the_decoder_pads_time_with_one_copy_each_side(decoded: Arrays, weights: Weights) -> None:
    tell_decoder(decoded, weights, "zeros in time", "the other padding in time")


def test_decoder_blocks_are_stored_in_the_encoder_s_order(decoded: Arrays) -> None:
    blocks = VAE["decoder_blocks"]
    assert [b[0] for b in blocks] != [b[0] for b in blocks[::-1]]
    before, kept = decoded["vae.decoder.conv_in"].shape, []
    for i, (kind, options) in enumerate(blocks[::-1]):
        shape = decoded[f"vae.decoder.up_blocks.{i}"].shape
        t, s, q = (1, 1, 1) if kind == "res_x" else video.stride(kind)
        frames = before[0] * t - (t == 2)
        channels = before[3] // options.get("multiplier", 1)
        assert shape == (frames, before[1] * s, before[2] * q, channels)
        kept += [kind] if kind != "res_x" and shape[3] == before[3] else []
        before = shape
    assert kept == ["compress_all"]  # the one with multiplier 1


def test_unpatchify_has_the_row_fastest(decoded: Arrays) -> None:
    planes = decoded["vae.decoder.conv_out"].transpose(3, 0, 1, 2)
    right, other = (
        video.to_bytes(video.unpatchify(planes, w)).astype(int) for w in ("", "column fastest")
    )
    assert abs(right - decoded["pixels"]).max() <= 1
    assert abs(other - decoded["pixels"]).mean() > 5


def test_bytes_are_cut_off_not_rounded(decoded: Arrays) -> None:
    frames = video.unpatchify(decoded["vae.decoder.conv_out"].transpose(3, 0, 1, 2))
    assert (video.to_bytes(frames) != decoded["pixels"]).mean() < 1e-3
    assert (video.to_bytes(frames, "rounded") != decoded["pixels"]).mean() > 0.2


def test_the_decoder_is_not_causal(tiny: Tiny, folder: Path, decoded: Arrays) -> None:
    latent = golden("base-vae")["decode.latent"].copy()
    latent[:, 1] += 1
    have = run("vae-decode", [tiny["base"]], folder / "later", latent=latent)
    name = "vae.decoder.conv_out"
    assert nmse(have[name][0], decoded[name][0]) > 1e-3


# ---- encoder


@pytest.fixture(scope="module")
def clip() -> Array:
    return golden("base-vae")["clip"][:9]


@pytest.fixture(scope="module")
def encoded(tiny: Tiny, folder: Path, clip: Array) -> Array:
    return run("vae-encode", [tiny["base"]], folder / "encode", pixels=clip, taps=0)["latent"]


def tell_encoder(encoded: Array, weights: Weights, clip: Array, *mistakes: str) -> None:
    pixels = clip.transpose(3, 0, 1, 2) / np.float32(127.5) - 1
    follows(encoded, lambda w: video.encode(weights, VAE["encoder_blocks"], pixels, w), *mistakes)


def test_the_encoder_normalises_before_conv_out_and_its_latent_after(
    encoded: Array, weights: Weights, clip: Array
) -> None:
    names = ("no norm before conv_out", "no silu before conv_out", "latent not normalised")
    tell_encoder(encoded, weights, clip, *names)


def test_patchify_has_the_row_fastest(encoded: Array, weights: Weights, clip: Array) -> None:
    tell_encoder(encoded, weights, clip, "column fastest")


def test_the_encoder_pads_time_with_two_copies_in_front(
    encoded: Array, weights: Weights, clip: Array
) -> None:
    tell_encoder(encoded, weights, clip, "zeros in time", "the other padding in time")


def test_downsampling_repeats_the_first_frame_before_convolution_and_skip(
    encoded: Array, weights: Weights, clip: Array
) -> None:
    names = ("skip begins with zeros", "last frame repeated instead")
    tell_encoder(encoded, weights, clip, *names, "skip averages strided channels")


def test_the_encoder_is_causal_to_the_bit(
    tiny: Tiny, folder: Path, encoded: Array, clip: Array
) -> None:
    other = clip.copy()
    other[1:] = 255 - other[1:]
    have = run("vae-encode", [tiny["base"]], folder / "other", pixels=other, taps=0)["latent"]
    alone = run("vae-encode", [tiny["base"]], folder / "alone", pixels=clip[:1], taps=0)["latent"]
    assert np.array_equal(have[:, 0], encoded[:, 0])
    assert not np.array_equal(have[:, 1], encoded[:, 1])
    assert np.array_equal(alone[:, 0], encoded[:, 0])


def test_what_passes_f16_s_range_in_the_encoder_survives_f16_weights(
    tiny: Tiny, tmp_path: Path, clip: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "vae.encoder.conv_in.conv."
    large = tmp_path / "large.safetensors"
    scaled(tiny["base"], large, 1e5, name + "weight", name + "bias")
    want = run("vae-encode", [large], tmp_path / "f32", pixels=clip)
    assert abs(want["vae.encoder.down_blocks.6"]).max() > 65504  # what down_blocks.7 reads
    monkeypatch.setenv("LTX2_EXACT", "0")
    half = convert(large, tmp_path / "half.gguf", "f16")
    have = run("vae-encode", [half], tmp_path / "f16", pixels=clip)
    assert nmse(have["latent"], want["latent"]) < 1e-6  # measured 1.6e-7


# ---- sampling


@pytest.fixture(scope="module")
def session(tiny: Tiny) -> Iterator[ltx2.Session]:
    with ltx2.Session(tiny["base"].parent, device="CPU", threads=1) as opened:
        yield opened


NOISE = np.random.default_rng(8).standard_normal((8, 3, 2, 2)).astype(np.float32)
PLAIN: dict[str, Any] = {
    "width": 64, "height": 64, "frames": 17, "fps": 10.0, "schedule": "ltx2", "steps": 1,
    "guidance": 1.0, "stg": 0.0, "rescale": 0.0, "noise": NOISE,
}  # fmt: skip


def tokens(latent: Array) -> Array:
    rows: Array = latent.reshape(len(latent), -1).T.astype(np.float64)
    return rows


def x0(weights: Weights, z: Array, sigma: float, text: str = "prompt", **more: Any) -> Array:
    at = more.pop("at", video.middles((3, 2, 2), 10.0))
    context = golden("base-connector")[f"{text}.context"]
    v = rules.dit(weights, z, np.ones(len(z)), at, context, sigma, 4, **more)
    return z - sigma * v


def euler(weights: Weights, sigmas: list[float]) -> Array:
    z = tokens(NOISE)
    for sigma, after in pairwise(sigmas):
        z = z + (after - sigma) * (z - x0(weights, z, sigma)) / sigma
    return z


def distinguishes(have: Array | None, right: Array, *mistakes: Array) -> None:
    assert have is not None
    assert nmse(tokens(have), right) <= NMSE["latents.rules", "F32"].limit
    assert all(nmse(tokens(have), wrong) >= WRONG for wrong in mistakes)


def test_positions_are_middles_in_seconds_and_pixels(
    session: ltx2.Session, weights: Weights
) -> None:
    names = ("frames for seconds", "first frame spans eight", "starts for middles")
    made = [
        x0(weights, tokens(NOISE), 1.0, at=video.middles((3, 2, 2), 10.0, wrong))
        for wrong in ("", *names, "cells for pixels")
    ]
    distinguishes(session.t2v(PROMPT, **PLAIN).latents, *made)


def test_the_schedule_is_that_of_4096_tokens(session: ltx2.Session, weights: Weights) -> None:
    latents = session.t2v(PROMPT, **{**PLAIN, "steps": 3}).latents
    counts = (4096, NOISE[0].size)
    distinguishes(latents, *(euler(weights, video.ltx2_sigmas(3, n)) for n in counts))


def test_the_distilled_recipe_has_fixed_sigmas_and_no_negative_prompt(
    tiny: Tiny, weights: Weights
) -> None:
    size: dict[str, Any] = {n: PLAIN[n] for n in ("width", "height", "frames", "fps", "noise")}
    with ltx2.Session(tiny["distilled"].parent, device="CPU", threads=1) as distilled:
        latents = distilled.t2v(PROMPT, **size).latents
        other = distilled.t2v(PROMPT, negative_prompt=LONG, **size).latents
    assert latents is not None and other is not None
    assert np.array_equal(latents, other)
    distinguishes(latents, *(euler(weights, s) for s in (DISTILLED, video.ltx2_sigmas(8))))


def test_guidance_has_no_term_for_the_missing_audio(
    session: ltx2.Session, weights: Weights
) -> None:
    options = {**PLAIN, "guidance": 3.0, "stg": 1.0, "negative_prompt": LONG}
    latents = session.t2v(PROMPT, **options).latents
    z = tokens(NOISE)
    cond, uncond = (x0(weights, z, 1.0, text) for text in ("prompt", "long"))
    right = cond + 2 * (cond - uncond) + (cond - x0(weights, z, 1.0, values_only=1))
    distinguishes(latents, right, right + 2 * cond)


def test_what_is_given_wholly_comes_out_exactly(
    session: ltx2.Session, tiny: Tiny, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")  # as the session runs it
    picture = golden("all-image")["fits"]
    pixels = picture[None]
    clean = run("vae-encode", [tiny["base"]], folder / "given", pixels=pixels)["latent"]
    noise = np.full((8, 1, 2, 2), 1e30, np.float32)  # 0 times it is still 0
    options = {**PLAIN, "frames": 1, "noise": noise, "guidance": 3.0}
    one, four = (
        session.i2v(PROMPT, picture, crf=0, **{**options, "steps": n}).latents for n in (1, 4)
    )
    full = session.i2v(PROMPT, picture, crf=0, **PLAIN).latents
    assert one is not None and four is not None and full is not None
    assert np.array_equal(one, four)
    assert np.array_equal(one, clean)
    assert np.array_equal(full[:, :1], one)


@pytest.mark.parametrize("size", [{"width": 80}, {"height": 72}, {"frames": 16}])
def test_sizes_that_do_not_fit_the_grid_are_refused(
    session: ltx2.Session, size: dict[str, int]
) -> None:
    name, value = next(iter(size.items()))
    with pytest.raises(ltx2.InvalidArgumentError, match=f"{name}.*{value}"):
        session.t2v(PROMPT, **{**PLAIN, **size})


# ---- files


def gemma_files(folder: Path) -> list[Path]:
    return sorted((folder / "gemma").glob("*.safetensors"))


def test_gemma_s_states_may_pass_f16_s_range(tiny: Tiny, tmp_path: Path) -> None:
    large, name = tmp_path / "large", "language_model.model.embed_tokens.weight"
    shutil.copytree(tiny["base"].parent, large)
    for path in gemma_files(large):
        if name in read_safetensors(path)[0]:
            scaled(path, path, 1e5, name)
    ids = golden("base-gemma")["prompt.ids"]
    have = run("text-encoder", [large], tmp_path, ids=ids)["states"].astype(np.float64)
    config = json.loads((large / "gemma" / "config.json").read_text())["text_config"]
    want = rules.gemma(rules.load(*gemma_files(large)), config, ids)
    assert abs(have[-2]).max() > 65504
    assert nmse(have[-1], want[-1]) < 1e-12  # measured 1.1e-14
    assert nmse(have[1] - have[0], want[1] - want[0]) < 5e-5  # 5.7e-6: F32 at 1e5


def test_norms_in_gguf_already_hold_the_one(tiny: Tiny, tmp_path: Path) -> None:
    source = tiny["base"].parent
    file = convert(source / "gemma", tmp_path / "gemma.gguf", "f32")
    norms = {t.name: t.data for t in gguf.GGUFReader(file).tensors if "norm" in t.name}
    theirs = rules.load(*gemma_files(source))["norm.weight"]
    assert np.array_equal(norms["output_norm.weight"], theirs + np.float32(1))
    ids = golden("base-gemma")["prompt.ids"]
    models = {"gguf": file, "folder": source}
    have = [run("text-encoder", [m], tmp_path / n, ids=ids)["states"] for n, m in models.items()]
    assert np.array_equal(have[0], have[1])


def test_rows_no_block_fits_and_the_head_are_not_quantised(tiny: Tiny, tmp_path: Path) -> None:
    reader = gguf.GGUFReader(convert(tiny["base"], tmp_path / "small.gguf", "q4_0"))
    types = {t.name: t.tensor_type.name for t in reader.tensors}
    small = [t for t in reader.tensors if t.tensor_type.name.startswith("Q")]
    assert len(small) > 20
    assert all(t.shape[0] % 32 == 0 for t in small)
    for name in ("patchify_proj", "proj_out"):
        assert types[f"model.diffusion_model.{name}.weight"] == "F16"
