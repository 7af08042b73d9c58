"""Clips with sound and in two stages, their models in F16 and in Q8_0, as users run them, against
the official code in F32 on the weights as they were."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import pytest
import test_parity_e2e
import test_parity_hq
import test_parity_upsampler
from condition_cases import CASES, HQ
from parity import Arrays, golden
from test_parity_conditions import files, made
from test_parity_sound import NEGATIVE, PROMPT
from tolerance import CLIPS, psnr, snr

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Models: TypeAlias = Callable[[str, str], list[Path]]

CHANNELS = {"joint": 8, "duet": 8, "bf16": 16}  # of a geometry's latents


@pytest.fixture(autouse=True)
def as_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")


@pytest.fixture(scope="module")
def models(tiny: dict[str, Path], folder: Path) -> Models:
    """A geometry's model with an upsampler, in one type."""

    @cache
    def converted(geometry: str, kind: str) -> list[Path]:
        place = folder / f"{geometry}-{kind}"
        place.mkdir()
        sound = [] if geometry == "bf16" else files(geometry, tiny, place)[2:]
        upsampler = test_parity_upsampler.written(
            "spatial", place / "up.safetensors", channels=CHANNELS[geometry]
        )
        parts = [tiny[geometry], *sound, upsampler]
        gemma = tiny[geometry].parent / "gemma"
        return [
            convert(parts, place / "video.gguf", kind.lower()),
            convert(gemma, place / "gemma.gguf", kind.lower()),
        ]

    return converted


def near(what: str, kind: str, measured: float) -> None:
    print(f"{what} {measured:.1f} dB")
    assert measured >= CLIPS[what, kind].limit


def compare(video: ltx2.Video, kind: str, want: Arrays) -> None:
    """With what the golden file has of it; `frames` may be some of all."""
    assert video.latents is not None
    near("latents", kind, snr(video.latents, want["latents"]))
    if "frames" in want:
        step = max(1, (len(video.frames) - 1) // max(1, len(want["frames"]) - 1))
        near("frames", kind, psnr(video.frames[::step], want["frames"]))
    for key, some in (("sound", 1), ("sound.every64", 64)):
        if key in want:
            assert video.audio is not None
            near("sound", kind, snr(video.audio[::some], want[key]))


def of(file: str, case: str = "") -> Arrays:
    """A case's arrays."""
    mine = {k.removeprefix(case): v for k, v in golden(file).items() if k.startswith(case)}
    return {"frames" if name == "pixels" else name: values for name, values in mine.items()}


# the rest says no more: without sound's bands, or without frames to compare
ALL = [pytest.param(c, marks=[pytest.mark.slow] * (CASES[c].geometry != "joint")) for c in CASES]
KINDS = pytest.mark.parametrize("kind", ["F16", "Q8_0"])


@KINDS
@pytest.mark.parametrize("geometry", ["joint", pytest.param("duet", marks=pytest.mark.slow)])
def test_a_prompt_s(geometry: str, kind: str, models: Models) -> None:
    want = of(f"{geometry}-clip")
    with ltx2.Session(models(geometry, kind), device="CPU", threads=1) as session:
        video = session.t2v(
            PROMPT, negative_prompt=NEGATIVE, noise=want["noise"], width=64, height=64, frames=9
        )
    compare(video, kind, want)


@KINDS
@pytest.mark.parametrize("name", ALL)
def test_images_references_a_source_sound(name: str, kind: str, models: Models) -> None:
    case = CASES[name]
    want = of(f"{case.geometry}-conditions", f"{name}.")
    with ltx2.Session(models(case.geometry, kind), device="CPU", threads=1) as session:
        compare(made(session, case, noise=want["noise"]), kind, want)


@KINDS
@pytest.mark.parametrize("case", ["t2v", "i2v"])
def test_two_stages(case: str, kind: str, models: Models) -> None:
    video = test_parity_e2e.two_stage(models("bf16", kind), golden("bf16-stages"), case)
    compare(video, kind, of("bf16-stages", f"{case}."))


@KINDS
@pytest.mark.parametrize("name", ["t2v", pytest.param("i2v", marks=pytest.mark.slow)])
def test_the_hq_recipe(name: str, kind: str, models: Models, tmp_path: Path) -> None:
    """And its sound before the vocoder."""
    model, want = models("joint", kind), of("joint-hq", f"{name}.")
    video, latents = test_parity_hq.clip(model, HQ[name], tmp_path)
    compare(video, kind, want)
    if "spectrogram.every4" in want:
        before = test_parity_hq.spectrogram(model[0], latents, tmp_path)
        near("spectrogram", kind, snr(before, want["spectrogram.every4"]))
