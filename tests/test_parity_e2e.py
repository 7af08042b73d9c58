"""Prompt to frames against the official code, on the tiny checkpoints and the same noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity import GOLDEN, Arrays, golden
from tolerance import FRAMES_PSNR, NMSE, nmse, psnr

import ltx2
from ltx2.convert import convert

NOTES = {name: json.loads((GOLDEN / f"{name}-e2e.json").read_text()) for name in ("base", "odd")}
THREADS = 1  # many threads on tiny tensors only wait for each other
CASES = [(name, case) for name, notes in NOTES.items() for case in notes["cases"]]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference multiplies in float32 whatever type the file has."""
    monkeypatch.setenv("LTX2_EXACT", "1")


def generate(model: Path, notes: dict[str, Any], arrays: Arrays, case: str) -> ltx2.Video:
    """The golden case, made by ltx2 on the golden file's noise."""
    how = notes["cases"][case]
    guidance, stg, rescale = how["guidance_stg_rescale"]
    frames, height, width = how["frames_height_width"]
    noise = arrays[f"{case}.noise"].ravel()
    if f"{case}.noise.appended" in arrays:  # [tokens, channels] -> [channels, tokens]
        noise = np.concatenate([noise, arrays[f"{case}.noise.appended"].T.ravel()])
    options: dict[str, Any] = {
        "width": width, "height": height, "frames": frames, "fps": notes.get("fps", 24.0),
        "steps": how["steps"], "schedule": how["schedule"], "guidance": guidance, "stg": stg,
        "rescale": rescale, "noise": noise, "negative_prompt": notes["negative_prompt"],
    }  # fmt: skip
    with ltx2.Session(model, device="CPU", threads=THREADS) as session:
        if not how["images"]:
            return session.t2v(notes["prompt"], **options)
        images = {at: (arrays[key], strength) for key, at, strength in how["images"]}
        return session.i2v(notes["prompt"], images, crf=0, **options)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_frames_equal_the_official_codes(name: str, case: str, tiny: dict[str, Path]) -> None:
    want = golden(f"{name}-e2e")
    video = generate(tiny[name].parent, NOTES[name], want, case)
    assert video.latents is not None
    assert nmse(video.latents, want[f"{case}.latents"]) <= NMSE["latents", "F32"].limit
    assert psnr(video.frames, want[f"{case}.pixels"]) >= FRAMES_PSNR["F32"].limit


@pytest.mark.parametrize("case", NOTES["base"]["cases"])
def test_f32_frames_by_winograd_s_convolutions_are_as_close(
    case: str, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")  # which is what leaves them out
    want = golden("base-e2e")
    video = generate(tiny["base"].parent, NOTES["base"], want, case)
    measured = psnr(video.frames, want[f"{case}.pixels"])
    print(case, measured)
    assert measured >= FRAMES_PSNR["F32"].limit


@pytest.mark.parametrize("case", ["t2v", "dev.i2v"])
def test_frames_from_f16_weights_stay_close(
    case: str, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    for source, target in ((tiny["base"], "base.gguf"), (tiny["base"].parent / "gemma", "g.gguf")):
        convert(source, tmp_path / target, "f16")
    want = golden("base-e2e")
    video = generate(tmp_path, NOTES["base"], want, case)
    assert psnr(video.frames, want[f"{case}.pixels"]) >= FRAMES_PSNR["F16"].limit
