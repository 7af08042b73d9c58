"""The transformer of video and sound against the official code, on tiny random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import test_parity_audio
from parity import Arrays, golden, run
from tolerance import FRAMES_PSNR, NMSE, nmse, psnr

import ltx2

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRIES = ["joint", "duet"]
INPUTS = ("latent", "context", "positions", "mask")
PROMPT = "a red circle moves right on a blue background"
NEGATIVE = "blurry, out of focus, low contrast"
LIMIT = NMSE["dit", "F32"].limit


def velocities(name: str, tiny: dict[str, Path], folder: Path, **changed: object) -> Arrays:
    want = golden(f"{name}-sound")
    inputs: dict[str, object] = {"sigma": want["sigma"]}
    for prefix in ("", "audio."):
        inputs |= {prefix + key: want[prefix + key] for key in INPUTS}
        inputs[prefix + "mask"] = np.ones_like(want[prefix + "mask"])
    return run("dit", [tiny[name]], folder, **{**inputs, **changed})


def compare(have: Arrays, want: Arrays, theirs: str, ours: str = "") -> None:
    for prefix in ("", "audio."):
        error = nmse(have[f"{prefix}{ours}velocity"], want[f"{prefix}{theirs}velocity"])
        print(f"{prefix}{theirs}velocity {error:.2g}")
        assert error <= LIMIT, prefix


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_sound_reads_text_of_its_own(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-text")
    for prefix, component in (("", "connector"), ("audio.", "audio-connector")):
        have = run(component, [tiny[name]], tmp_path, states=want["states"])
        error = nmse(have["context"], want[f"{prefix}context"])
        print(f"{component} {error:.2g}")
        assert error <= NMSE["connector", "F32"].limit


@pytest.mark.parametrize("name", GEOMETRIES)
def test_from_text_alone(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-sound")
    have = velocities(name, tiny, tmp_path, stg_blocks=want["stg_blocks"])
    for passed in ("", "perturbed.", "isolated."):
        compare(have, want, passed, passed)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_each_token_has_its_timestep(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-sound")
    masks = {key: want[key] for key in ("mask", "audio.mask")}
    compare(velocities(name, tiny, tmp_path, **masks), want, "i2v.")


@pytest.mark.parametrize("name", GEOMETRIES)
def test_sound_that_is_given_has_no_noise(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-sound")
    still = {"audio.mask": np.zeros_like(want["audio.mask"])}
    compare(velocities(name, tiny, tmp_path, **still), want, "given.")


# audio VAE, vocoder
FILES = {
    "joint": ("sound", "sound"), "duet": ("odd", "hifigan"), "v20": ("sound", "hifigan"),
    "v25": ("sound", "sound"),
}  # fmt: skip


def sounding(name: str, tiny: dict[str, Path], folder: Path) -> list[Path]:
    """A checkpoint, and what makes its sound audible; without a text encoder."""
    vae, vocoder = FILES[name]
    return [
        tiny[name],
        test_parity_audio.audio_vae(vae, folder / "vae.safetensors"),
        test_parity_audio.vocoder(vocoder, folder / "vocoder.safetensors"),
    ]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_clip_with_its_sound(
    name: str, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")
    want = golden(f"{name}-clip")
    files = [*sounding(name, tiny, tmp_path), tiny[name].parent / "gemma"]
    with ltx2.Session(files, device="CPU", threads=1) as session:
        video = session.t2v(
            PROMPT, negative_prompt=NEGATIVE, noise=want["noise"], width=64, height=64, frames=9
        )
    assert video.audio is not None
    assert video.latents is not None
    error, heard = nmse(video.latents, want["latents"]), nmse(video.audio, want["sound"])
    seen = psnr(video.frames, want["pixels"])
    print(f"latents {error:.2g}, sound {heard:.2g}, {seen:.1f} dB")
    assert error <= NMSE["latents", "F32"].limit
    assert heard <= NMSE["clip.sound", "F32"].limit
    assert seen >= FRAMES_PSNR["F32"].limit
    assert video.sample_rate == {"joint": 48000, "duet": 24000}[name]
