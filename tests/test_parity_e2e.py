"""Prompt to frames against the official code, on the tiny checkpoints and the same noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity import DEVICE, GOLDEN, Arrays, golden
from test_parity_upsampler import written
from tolerance import FRAMES_PSNR, NMSE, nmse, psnr

import ltx2
from ltx2.convert import convert

NOTES = {
    name: json.loads((GOLDEN / f"{name}-e2e.json").read_text())
    for name in ("base", "odd", "heads", "deep", "bf16", "wide")
}
PROMPT = "a red circle moves right on a blue background"
THREADS = 1  # many threads on tiny tensors only wait for each other
CASES = [(name, case) for name, notes in NOTES.items() for case in notes["cases"]]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference multiplies in float32 whatever type the file has."""
    monkeypatch.setenv("LTX2_EXACT", "1")


def generate(
    model: Path, notes: dict[str, Any], arrays: Arrays, case: str, *, own: bool = False
) -> ltx2.Video:
    """The golden case, made by ltx2 on the golden file's noise; `own`: by the model's recipe."""
    how = notes["cases"][case]
    guidance, stg, rescale = how["guidance_stg_rescale"]
    frames, height, width = how["frames_height_width"]
    noise = arrays[f"{case}.noise"].ravel()
    if f"{case}.noise.appended" in arrays:  # image by image, [tokens, channels] -> planes
        tokens = arrays[f"{case}.noise.appended"]
        rows = tokens.reshape(-1, height * width // 32**2, tokens.shape[1])
        noise = np.concatenate([noise, rows.transpose(0, 2, 1).ravel()])
    options: dict[str, Any] = {
        "width": width, "height": height, "frames": frames, "fps": notes.get("fps", 24.0),
        "steps": how["steps"], "schedule": how["schedule"], "guidance": guidance, "stg": stg,
        "rescale": rescale, "noise": noise, "negative_prompt": notes["negative_prompt"],
    }  # fmt: skip
    if own:
        for name in ("steps", "schedule", "guidance", "stg", "rescale"):
            del options[name]
    with ltx2.Session(model, device=DEVICE, threads=THREADS) as session:
        if not how["images"]:
            return session.t2v(notes["prompt"], **options)
        images = {at: (arrays[key], strength) for key, at, strength in how["images"]}
        return session.i2v(notes["prompt"], images, crf=0, **options)


def compare(video: ltx2.Video, want: Arrays, case: str) -> None:
    assert video.latents is not None
    error = nmse(video.latents, want[f"{case}.latents"])
    measured = psnr(video.frames, want[f"{case}.pixels"])
    print(f"{error:.2g} {measured:.1f} dB")
    assert error <= NMSE["latents", "F32"].limit
    assert measured >= FRAMES_PSNR["F32"].limit


@pytest.mark.parametrize(("name", "case"), CASES)
def test_frames_equal_the_official_codes(name: str, case: str, tiny: dict[str, Path]) -> None:
    want = golden(f"{name}-e2e")
    own = name == "deep" and case == "dev.default"  # states no recipe, as the official files
    video = generate(tiny[name].parent, NOTES[name], want, case, own=own)
    compare(video, want, case)


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


AS_USERS = {
    "base": "dev.i2v", "odd": "two", "heads": "guided.t2v", "deep": "guided.i2v",
    "bf16": "guided.t2v", "wide": "guided.wide",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["BF16", "F16", "Q8_0", "Q4_0"])
@pytest.mark.parametrize("name", AS_USERS)
def test_frames_as_users_run_them_stay_close(
    name: str, kind: str, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    want, case, model = golden(f"{name}-e2e"), AS_USERS[name], tiny[name].parent
    if kind != "BF16":
        convert(tiny[name], tmp_path / "video.gguf", kind.lower())
        convert(model / "gemma", tmp_path / "gemma.gguf", kind.lower())
        model = tmp_path
    elif name not in ("odd", "bf16"):
        pytest.skip("its weights are F32")
    measured = psnr(generate(model, NOTES[name], want, case).frames, want[f"{case}.pixels"])
    print(f"{measured:.1f} dB")
    assert measured >= FRAMES_PSNR[kind].limit


def two_stage(model: list[Path], want: Arrays, case: str) -> ltx2.Video:
    shape = want[f"{case}.pixels"].shape
    options: dict[str, Any] = {
        "recipe": "distilled", "frames": shape[0], "height": shape[1], "width": shape[2],
        "fps": 24.0, "noise": want[f"{case}.noise"],
    }  # fmt: skip
    with ltx2.Session(model, device="CPU", threads=THREADS) as session:
        if case == "t2v":
            return session.t2v(PROMPT, **options)
        images = {0: (want["wide"], 1.0), 8: (want["fits"], 0.8)}
        return session.i2v(PROMPT, images, crf=0, **options)


@pytest.mark.parametrize("case", ["t2v", "i2v"])
def test_two_stages_are_the_official_ones(case: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    """Half the size, enlarged by the upsampler, three more steps, images encoded at each size."""
    want = golden("bf16-stages")
    upsampler = written("spatial", tmp_path / "up.safetensors")
    model = [tiny["bf16"], tiny["bf16"].parent / "gemma", upsampler]
    compare(two_stage(model, want, case), want, case)
