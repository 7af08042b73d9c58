"""LTX-2.5's transformer against the official code, on its tiny checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from make_twins import DIT
from parity import golden
from safetensors_file import read_safetensors, write_safetensors
from test_parity_sound import compare, velocities
from tolerance import CLIPS, FEW_FRAMES_PSNR, NMSE, nmse, psnr, snr

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

MARKER = DIT + "keyframes_abs_pos_embedding"


def test_velocities(tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden("v25-sound")
    marks = {"single_frames": want["single_frames"]}
    have = velocities("v25", tiny, tmp_path, **marks)
    for passed in ("", "isolated."):
        compare(have, want, passed, passed)
    marks |= {key: want[key] for key in ("mask", "audio.mask")}
    compare(velocities("v25", tiny, tmp_path / "i2v", **marks), want, "i2v.")


def test_marks_matter(tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden("v25-sound")
    have = velocities("v25", tiny, tmp_path)
    assert nmse(have["velocity"], want["velocity"]) > 100 * NMSE["dit", "F32"].limit


def made(files: list[Path], **more: Any) -> ltx2.Video:
    """Of features: the text encoder of LTX-2.5 is another one than the checkpoint's."""
    want = golden("v25-clip")
    text = ltx2.Features("a prompt", "another", want["features"], want["negative"])
    with ltx2.Session(files, device="CPU", threads=1) as session:
        return session.t2v(text, width=64, height=64, frames=9, noise=want["noise"], **more)


@pytest.fixture(scope="module")
def files(tiny: dict[str, Path], folder: Path) -> list[Path]:
    import test_parity_audio

    return [
        tiny["v25"],
        test_parity_audio.audio_vae("sound", folder / "vae.safetensors"),
        test_parity_audio.vocoder("sound", folder / "vocoder.safetensors"),
    ]


def test_a_clip(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")
    want = golden("v25-clip")
    video = made(files)
    assert video.latents is not None
    error, seen = nmse(video.latents, want["latents"]), psnr(video.frames[::8], want["frames"])
    print(f"latents {error:.2g}, {seen:.1f} dB")
    assert error <= NMSE["latents.joint", "F32"].limit
    assert seen >= FEW_FRAMES_PSNR.limit
    assert video.metadata["generation"] == "LTX-2.5"


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_converted_one_as_users_run_it(
    kind: str, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    want = golden("v25-clip")
    model = convert(files, tmp_path / "v25.gguf", kind.lower())
    assert ltx2.describe(model)["problem"] is None
    video = made([model])
    assert video.latents is not None
    for what, measured in (
        ("frames", psnr(video.frames[::8], want["frames"])),
        ("latents", snr(video.latents, want["latents"])),
    ):
        print(f"{what} {measured:.1f} dB")
        assert measured >= CLIPS[what, kind].limit


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (MARKER, lambda a: a[:, :-1], "keyframes_abs_pos_embedding"),
        (DIT + "transformer_blocks.1.audio_ff.net.2.bias", None, "is missing"),
    ],
)
def test_what_is_damaged_is_refused(
    name: str, change: Any, words: str, files: list[Path], tmp_path: Path
) -> None:
    tensors, metadata = read_safetensors(files[0])
    kind, values = tensors.pop(name)
    if change:
        tensors[name] = (kind, np.ascontiguousarray(change(values)))
    damaged = write_safetensors(tmp_path / "damaged.safetensors", tensors, metadata)
    with pytest.raises(ltx2.ModelError, match=words):
        ltx2.Session([damaged, *files[1:]], device="CPU", threads=1)
