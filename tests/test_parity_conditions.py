"""Clips that begin with more than text, against the official code: what each golden clip of
scripts/condition_cases.py begins with, on the same noise, to latents, frames and the sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import condition_cases
import golden_text
import numpy as np
import pytest
import test_parity_upsampler
from condition_cases import CASES, SOUND_RATE, TWO_STAGES, Case
from parity import golden
from safetensors_file import write_safetensors
from test_parity_sound import NEGATIVE, PROMPT, sounding
from tolerance import FEW_FRAMES_PSNR, NMSE, nmse, psnr

import ltx2

FPS = 24.0  # of all golden clips


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")


def files(geometry: str, tiny: dict[str, Path], folder: Path) -> list[Path]:
    checkpoint, *audible = sounding(geometry, tiny, folder)
    return [checkpoint, checkpoint.parent / "gemma", *audible]


def references(case: Case) -> list[ltx2.Reference]:
    return [
        ltx2.Reference(
            condition_cases.reference(one), strength=one.strength, attention=one.attention,
            downscale=one.downscale, temporal=one.temporal,
        )
        for one in case.references
    ]  # fmt: skip


def made(session: ltx2.Session, case: Case, **options: Any) -> ltx2.Video:
    """By the call that is for such a case."""
    sound = condition_cases.sound(case.samples)
    if "recipe" not in options:
        options |= {
            "negative_prompt": NEGATIVE, "schedule": case.schedule,
            "steps": condition_cases.STEPS[case.schedule],
        }  # fmt: skip
    if case.what:
        return session.retake(
            PROMPT, condition_cases.source(case), *case.region, what=case.what, sound=sound,
            sample_rate=SOUND_RATE, splice=False, **options,
        )  # fmt: skip
    images = {at: (golden_text.picture(name), strength) for at, name, strength in case.images}
    frames, height, width = case.pixels
    options |= {"frames": frames, "height": height, "width": width, "fps": FPS, "crf": 0}
    if case.references:
        return session.v2v(PROMPT, references(case), images=images, **options)
    if case.from_sound:
        return session.a2v(PROMPT, sound, sample_rate=SOUND_RATE, images=images, **options)
    if case.keyframes:
        options["keyframes"] = True
    if not images:
        return session.t2v(PROMPT, **{k: v for k, v in options.items() if k != "crf"})
    return session.i2v(PROMPT, images, **options)


def compare(video: ltx2.Video, name: str) -> None:
    case = CASES[name]
    want = golden(f"{case.geometry}-conditions")
    assert video.latents is not None
    assert video.audio is not None
    error = nmse(video.latents, want[f"{name}.latents"])
    print(f"{name}: latents {error:.2g}")
    assert error <= NMSE["latents.joint", "F32"].limit
    if not case.keeps_sound:
        heard = nmse(video.audio[::64], want[f"{name}.sound.every64"])
        print(f"sound {heard:.2g}")
        assert heard <= NMSE["clip.sound", "F32"].limit
    if f"{name}.frames" in want:
        seen = psnr(video.frames[:: case.pixels[0] // 2], want[f"{name}.frames"])
        print(f"{seen:.1f} dB")
        assert seen >= FEW_FRAMES_PSNR.limit


@pytest.mark.parametrize("name", CASES)
def test_clips_are_the_official_ones(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    case = CASES[name]
    noise = golden(f"{case.geometry}-conditions")[f"{name}.noise"]
    with ltx2.Session(files(case.geometry, tiny, tmp_path), device="CPU", threads=1) as session:
        video = made(session, case, noise=noise)
    compare(video, name)
    if case.keeps_sound:  # as long as the video
        assert video.audio is not None
        assert video.sample_rate == SOUND_RATE
        wanted = condition_cases.sound(case.samples)[: round(case.pixels[0] / FPS * SOUND_RATE)]
        assert np.array_equal(video.audio, wanted)


@pytest.mark.parametrize("name", TWO_STAGES)
def test_two_stages_are_the_official_ones(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """Pictures and sound are in both, references in the first alone."""
    case, upsampler = TWO_STAGES[name], tmp_path / "up.safetensors"
    want = golden(f"{case.geometry}-conditions")
    if case.samples:
        test_parity_upsampler.written("spatial", upsampler, channels=8)
        model = [*files(case.geometry, tiny, tmp_path), upsampler]
    else:
        test_parity_upsampler.written("spatial", upsampler)
        model = [tiny[case.geometry], tiny[case.geometry].parent / "gemma", upsampler]
    with ltx2.Session(model, device="CPU", threads=1) as session:
        video = made(session, case, recipe="distilled", noise=want[f"{name}.noise"])
    assert video.latents is not None
    error = nmse(video.latents, want[f"{name}.latents"])
    print(f"{name}: latents {error:.2g}")
    assert error <= NMSE["latents.joint" if case.samples else "latents", "F32"].limit


def test_a_video_brings_its_sound(tiny: dict[str, Path], tmp_path: Path) -> None:
    case = CASES["retake"]
    source = ltx2.Video(
        condition_cases.source(case), FPS, audio=condition_cases.sound(case.samples),
        sample_rate=SOUND_RATE,
    )  # fmt: skip
    noise = golden(f"{case.geometry}-conditions")["retake.noise"]
    with ltx2.Session(files(case.geometry, tiny, tmp_path), device="CPU", threads=1) as session:
        video = session.retake(
            PROMPT, source, *case.region, negative_prompt=NEGATIVE, noise=noise,
            steps=condition_cases.STEPS[case.schedule], splice=False,
        )  # fmt: skip
    compare(video, "retake")


def test_one_reference_is_given_as_it_is(tiny: dict[str, Path]) -> None:
    clip = golden_text.clip(9, 64, 64)
    options: dict[str, Any] = {
        "frames": 9, "height": 64, "width": 64, "steps": 2, "seed": 1, "audio": False,
    }  # fmt: skip
    with ltx2.Session(tiny["base"].parent, device="CPU", threads=1) as session:
        alone = session.v2v(PROMPT, clip, **options).frames.tobytes()
        listed = session.v2v(PROMPT, [ltx2.Reference(clip)], **options).frames.tobytes()
        without = session.t2v(PROMPT, **options).frames.tobytes()
    assert alone == listed
    assert alone != without


def test_a_lora_states_its_factors(tiny: dict[str, Path], tmp_path: Path) -> None:
    clip = golden_text.clip(17, 64, 64)
    module, random = "diffusion_model.transformer_blocks.0.attn1.to_q", np.random.default_rng(7)
    width = 128
    tensors = {
        f"{module}.lora_{half}.weight": ("F32", random.standard_normal(shape).astype(np.float32))
        for half, shape in (("A", (2, width)), ("B", (width, 2)))
    }
    stated = {"reference_downscale_factor": "2", "reference_temporal_scale_factor": "2"}
    options: dict[str, Any] = {
        "frames": 17, "height": 64, "width": 64, "steps": 2, "seed": 1, "audio": False,
    }  # fmt: skip
    made = {}
    for name, metadata in (("silent", {}), ("stating", stated)):
        lora = write_safetensors(tmp_path / f"{name}.safetensors", tensors, metadata)
        with ltx2.Session(
            tiny["base"].parent, device="CPU", threads=1, loras={lora: 0.1}
        ) as session:
            made[name] = session.v2v(PROMPT, clip, **options).frames.tobytes()
            both = ltx2.Reference(clip, downscale=2, temporal=2)
            made[name + ", told"] = session.v2v(PROMPT, both, **options).frames.tobytes()
    assert made["stating"] == made["silent, told"] == made["stating, told"]
    assert made["silent"] != made["stating"]
