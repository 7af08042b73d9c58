"""The video decoder that denoises, against diffusers, on a tiny checkpoint: `golden_windows.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import make_tiny
import numpy as np
import pytest
from parity import GOLDEN, Arrays, golden, run
from safetensors_file import read_safetensors, write_safetensors
from tolerance import NMSE, nmse, psnr

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"usual": (3, 5, 7), "small": (2, 1, 2), "long": (6, 3, 4), "wide": (2, 5, 14)}
# Pixels, with what fills the windows up.
FULL = {
    "usual": (17, 80, 112),
    "small": (17, 80, 80),
    "long": (41, 80, 80),
    "wide": (17, 80, 224),
}
STRIDE = json.loads((GOLDEN / "windows-vae.json").read_text())["stride"]


def decoded(model: Path, folder: Path, size: str = "usual", **options: object) -> Arrays:
    latent = make_tiny.normal("golden", f"windows.{size}", (8, *SIZES[size]))
    noise = make_tiny.normal("golden", f"windows.{size}.noise", (3, *FULL[size]))
    return run("vae-decode", [model], folder, latent=latent, noise=noise, **options)


def every(values: np.ndarray) -> np.ndarray:
    return values.ravel()[::STRIDE]


@pytest.mark.parametrize("name", ["usual", "shifted", "small", "small.shifted"])
def test_latents_are_decoded(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """With the official borders and with diffusers', also where windows lack cells."""
    want = golden("windows-vae")
    size, copied = name.split(".")[0].replace("shifted", "usual"), "shifted" not in name
    have = decoded(tiny["windows"], tmp_path, size, copied=int(copied))
    names = [n.removeprefix(name + ".") for n in want if n.startswith(name + ".")]
    taps = [n for n in names if n.startswith(("det_stages", "diff_blocks", "context"))]
    assert len(taps) == 8
    worst = max(nmse(every(have[f"vae.decoder.{n}"]), want[f"{name}.{n}"]) for n in taps)
    print(worst)
    assert worst <= NMSE["vae.windows_decoder", "F32"].limit
    decibels = psnr(every(have["pixels"]), want[f"{name}.pixels"])
    print(decibels)
    assert decibels >= 80  # measured: no byte differs


def test_the_borders_differ(tiny: dict[str, Path], tmp_path: Path) -> None:
    one, other = (
        decoded(tiny["windows"], tmp_path / str(c), copied=c, taps=0)["pixels"] for c in (0, 1)
    )
    assert psnr(one, other) < 60


@pytest.mark.parametrize(("size", "name"), [("usual", "tiled"), ("long", "long.tiled")])
def test_tiles_are_blended(size: str, name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """As where memory is short: two spans of rows and of columns, of the long one three of time."""
    have = decoded(tiny["windows"], tmp_path, size, window=1, taps=0)["pixels"]
    decibels = psnr(every(have), golden("windows-vae")[f"{name}.pixels"])
    print(decibels)
    assert decibels >= 80  # measured: no byte differs


def test_threads_change_no_byte(tiny: dict[str, Path], tmp_path: Path) -> None:
    one, three = (
        decoded(tiny["windows"], tmp_path / str(n), threads=n, taps=0)["pixels"] for n in (1, 3)
    )
    assert np.array_equal(one, three)


def test_with_ggml_s_own_operations(
    tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_PLAIN_OPS", "1")
    have = decoded(tiny["windows"], tmp_path, "small", taps=0)["pixels"]
    assert psnr(every(have), golden("windows-vae")["small.pixels"]) >= 80


def test_info_names_it(tiny: dict[str, Path]) -> None:
    parts = {part["id"]: part for part in ltx2.describe(tiny["windows"])["parts"]}
    assert parts["video_vae"]["geometry"] == {"channels": 8, "denoising_blocks": 2}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("vae.decoder.diff_blocks.1.attn.qkv.bias", "is missing"),
        ("vae.decoder.det_stages.2.0.norm1.weight", "is missing"),
        ("vae.decoder.conv_out.weight", "has shape"),
    ],
)
def test_a_fault_is_named(name: str, problem: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    tensors, metadata = read_safetensors(tiny["windows"])
    if problem == "is missing":
        del tensors[name]
    else:
        tensors[name] = (tensors[name][0], tensors[name][1][:-1])
    model = write_safetensors(tmp_path / "x.safetensors", tensors, metadata)
    with pytest.raises(pytest.fail.Exception, match=f"tensor {name}.* {problem}"):
        decoded(model, tmp_path, taps=0)


def changed(source: Path, folder: Path, **decoder: object) -> Path:
    """It, with other values in what its config states of the decoder."""
    tensors, metadata = read_safetensors(source)
    config = json.loads(metadata["config"])
    config["vae"]["decoder"] |= decoder
    return write_safetensors(
        folder / "x.safetensors", tensors, {**metadata, "config": json.dumps(config)}
    )


def test_a_window_that_is_too_large_is_named(tiny: dict[str, Path], tmp_path: Path) -> None:
    model = changed(tiny["windows"], tmp_path, stage5_kernel=[5, 13, 11])
    with pytest.raises(pytest.fail.Exception, match=r"stage5_kernel: 13 is not in 1\.\.11"):
        decoded(model, tmp_path, taps=0)


def test_windows_that_tiles_barely_hold(tiny: dict[str, Path], tmp_path: Path) -> None:
    """No tile is smaller than a window of 9: of 28 columns there are three and not four."""
    kernels = [[3, 5, 5], [3, 3, 3], [5, 3, 5], [9, 9, 9]]
    model = changed(tiny["windows"], tmp_path, stage_kernels=kernels)
    whole = decoded(model, tmp_path / "whole", "wide", taps=0)["pixels"]
    tiled = decoded(model, tmp_path / "tiled", "wide", window=1, taps=0)["pixels"]
    print(psnr(tiled, whole))
    assert psnr(tiled, whole) >= 40  # measured: 46.6


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_rounded_weights_cost_little(
    kind: str, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    rules = {"vae.decoder.d*_*.weight": kind}
    model = convert(tiny["windows"], tmp_path / f"{kind}.gguf", kind, tensor_type=rules)
    have = decoded(model, tmp_path, taps=0)["pixels"]
    decibels = psnr(every(have), golden("windows-vae")["usual.pixels"])
    print(decibels)
    assert decibels >= {"f16": 46, "q8_0": 36}[kind]


def test_a_session_makes_a_video_with_it(tiny: dict[str, Path]) -> None:
    """Of the seed's noise: the same each time, also of latents that were kept, and as its plan."""
    files = [tiny["windows"], tiny["windows"].parent / "gemma"]
    with ltx2.Session(files) as session:
        first, again = (
            session.t2v("a red circle", width=64, height=64, frames=9, steps=1, seed=3)
            for _ in range(2)
        )
        assert first.frames.shape == (9, 64, 64, 3)
        assert np.array_equal(first.frames, again.frames)
        assert first.latents is not None
        assert np.array_equal(session.decode(first.latents, seed=3).frames, first.frames)
        assert not np.array_equal(session.decode(first.latents).frames, first.frames)
        plan = session.plan("a red circle", width=64, height=64, frames=9, steps=1)
    assert "decode" in str(plan)
