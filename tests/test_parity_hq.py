"""The HQ recipe from a seed against the official pipeline itself, given the seed's noise: res_2s
in both stages, the distilled adapter at the strength of each, images encoded at each size, sound
that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import condition_cases
import numpy as np
import pytest
import test_parity_upsampler
from condition_cases import HQ, HQ_SEED
from parity import golden, run
from safetensors_file import Stored, write_safetensors
from seed_noise import SOUND, normal_noise
from test_parity_conditions import files, made
from test_parity_sound import NEGATIVE, PROMPT
from tolerance import CLIPS, FEW_FRAMES_PSNR, NMSE, nmse, psnr, snr

import ltx2
from ltx2.jobs import Job

if TYPE_CHECKING:
    from pathlib import Path

    from condition_cases import Case
    from numpy.typing import NDArray


TOKENS = 9  # of the sound of 9 frames


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")


def adapter(folder: Path) -> Path:
    tensors: dict[str, Stored] = {}
    for module, pair in condition_cases.adapter().items():
        for half, values in zip("AB", pair, strict=True):
            tensors[f"diffusion_model.{module}.lora_{half}.weight"] = ("F32", values)
    return write_safetensors(folder / "distilled-lora.safetensors", tensors)


def clip(model: list[Path], case: Case, folder: Path) -> tuple[ltx2.Video, NDArray[np.float32]]:
    """Of the golden seed; and the latents of its sound."""
    job, lora = folder / "clip.job", adapter(folder)
    with ltx2.Session(model, device="CPU", threads=1, loras=[lora]) as session:
        video = made(
            session, case, recipe="hq", negative_prompt=NEGATIVE, seed=HQ_SEED, job=job
        )  # fmt: skip
    state = Job.load(job).request.state
    assert state is not None
    return video, state[-8 * TOKENS * 16 :].reshape(TOKENS, 8, 16).transpose(1, 0, 2)


def spectrogram(vae: Path, latents: NDArray[np.float32], folder: Path) -> NDArray[np.float32]:
    """Every fourth frame of what the vocoder is given."""
    mel: NDArray[np.float32] = run("audio-decode", [vae], folder, latent=latents)["mel"]
    return mel[:, ::4]


@pytest.mark.parametrize("name", HQ)
def test_the_hq_recipe_is_the_official_pipeline(
    name: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    case, want = HQ[name], golden("joint-hq")
    upsampler = test_parity_upsampler.written("spatial", tmp_path / "up.safetensors", channels=8)
    model = [*files(case.geometry, tiny, tmp_path), upsampler]
    video, latents = clip(model, case, tmp_path)
    assert video.latents is not None
    assert video.audio is not None
    error = nmse(video.latents, want[f"{name}.latents"])
    heard = nmse(video.audio[::64], want[f"{name}.sound.every64"])
    print(f"{name}: latents {error:.2g}, sound {heard:.2g}")
    assert error <= NMSE["latents.joint", "F32"].limit
    assert heard <= NMSE["clip.sound", "F32"].limit
    if f"{name}.frames" in want:
        seen = psnr(video.frames[::8], want[f"{name}.frames"])
        print(f"{seen:.1f} dB")
        assert seen >= FEW_FRAMES_PSNR.limit
        before = spectrogram(model[2], latents, tmp_path)  # the vocoder
        measured = snr(before, want[f"{name}.spectrogram.every4"])
        print(f"spectrogram {measured:.1f} dB")
        assert measured >= CLIPS["spectrogram", "F32"].limit


def test_the_golden_files_noise_is_the_seed_s(tiny: dict[str, Path], tmp_path: Path) -> None:
    """To the bit, of the video and of the sound."""
    options: dict[str, Any] = {"width": 96, "height": 64, "frames": 9, "steps": 2}
    video = (8, 2, 2, 3)
    noise = np.concatenate(
        [
            normal_noise(HQ_SEED, 0, int(np.prod(video))),
            normal_noise(HQ_SEED, SOUND, 128 * TOKENS),
        ]
    )
    with ltx2.Session(files("joint", tiny, tmp_path), device="CPU", threads=1) as session:
        clips = [
            session.t2v(PROMPT, seed=HQ_SEED, **options),
            session.t2v(PROMPT, noise=noise, **options),
            session.t2v(PROMPT, noise=np.nextafter(noise, np.float32(9)), **options),
        ]
    same, given, other = (
        [part.tobytes() for part in (clip.latents, clip.audio) if part is not None]
        for clip in clips
    )
    assert len(same) == 2
    assert same == given
    assert same[0] != other[0]
    assert same[1] != other[1]
