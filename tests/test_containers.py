"""The formats beside .mp4, .gif and .webp, and rates that are no whole numbers."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ltx2
from ltx2 import clips, containers, media, sound

METADATA = {"prompt": "ein roter Kreis → 赤い円", "seed": 2**64 - 1, "fps": 7.5}
CODECS = {".mov": "h264", ".mkv": "h264", ".webm": "vp9"}


@pytest.mark.parametrize("ending", CODECS)
def test_true_colours_rate_sound_and_metadata(
    ending: str, clip: NDArray[np.uint8], tmp_path: Path
) -> None:
    if not any(name in av.codecs_available for name in containers.CONTAINERS[ending].encoders[:1]):
        pytest.skip(f"this PyAV has not the usual encoder of {ending}")
    path = tmp_path / f"clip{ending}"
    wave = np.sin(np.arange(24000 * 9 // 8) / 10) / 2
    tone: NDArray[np.float32] = np.stack([wave, wave], 1).astype(np.float32)
    ltx2.Video(clip, 8, metadata=METADATA, audio=tone, sample_rate=24000).save(path)
    assert media.read_metadata(path) == METADATA
    with av.open(str(path)) as file:
        stream: Any = file.streams.video[0]
        assert (stream.codec_context.name.removeprefix("lib"), stream.average_rate) == (
            CODECS[ending], 8,
        )  # fmt: skip
        assert stream.codec_context.colorspace == 1
    frames, rate = clips.frames(path)
    assert (frames.shape, rate) == (clip.shape, 8)
    inside = np.s_[:, 24:40, 44:46]
    assert np.abs(frames[inside].astype(int) - clip[inside]).max() < 8
    heard = sound.read(path)
    # The loudness of what is heard, without the codec's beginning and end.
    assert np.sqrt((heard.samples[4000:-4000] ** 2).mean()) == pytest.approx(0.5 / 2**0.5, rel=0.1)


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (float(np.float32(29.97)), Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (24.0, Fraction(24)),
        (25.0, Fraction(25)),
        (7.5, Fraction(15, 2)),
    ],
)
def test_the_rates_of_ntsc_are_exact(
    fps: float, exact: Fraction, clip: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert containers.rate(fps) == exact
    for ending in (".mp4", ".mov"):  # .mkv counts milliseconds
        ltx2.Video(clip, fps).save(tmp_path / f"clip{ending}")
        with av.open(str(tmp_path / f"clip{ending}")) as file:
            assert file.streams.video[0].average_rate == exact


def test_apng_loses_nothing(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "clip.apng"
    ltx2.Video(clip, 8, metadata=METADATA).save(path)
    assert media.read_metadata(path) == METADATA
    frames, rate = clips.frames(path)
    assert np.array_equal(frames, clip)
    assert rate == 8


def test_one_frame_is_a_picture(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    one = ltx2.Video(clip[:1], 24, metadata=METADATA)
    for name, worst in (("a.png", 0), ("a.jpg", 12), ("a.jpeg", 12)):
        one.save(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            seen = np.asarray(picture.convert("RGB"))
        assert np.abs(seen[24:40, 12:36].astype(int) - clip[0, 24:40, 12:36]).max() <= worst
        assert media.read_metadata(tmp_path / name) == METADATA
    many = ltx2.Video(clip, 24)
    with pytest.raises(ltx2.InvalidArgumentError, match=r"b\.jpg: holds one picture, .* has 9"):
        many.save(tmp_path / "b.jpg")
    with pytest.raises(ltx2.InvalidArgumentError, match="holds one picture"):
        media.check_output(tmp_path / "b.jpg")
    media.check_output(tmp_path / "b.jpg", frames=1)
    long = ltx2.Video(clip[:1], 24, metadata={"prompt": "a" * 70000})
    with pytest.raises(ltx2.InvalidArgumentError, match="no place for so long a prompt"):
        long.save(tmp_path / "b.jpg")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("%04d.png", ["0000.png", "0008.png"]), ("a%d-x.PNG", ["a0-x.PNG", "a8-x.PNG"])],
)
def test_numbered_frames_have_a_folder_of_their_own(
    pattern: str, names: list[str], clip: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "frames" / pattern
    video = ltx2.Video(clip, 8, metadata=METADATA)
    for _ in range(2):  # frames may be replaced
        media.check_output(path, frames=9)
        video.save(path)
    there = sorted(file.name for file in path.parent.iterdir())
    assert (there[0], there[-1], len(there)) == (*names, 9)
    assert np.array_equal(media.read_image(path.parent / names[-1]), clip[8])
    assert media.read_metadata(path.parent) == METADATA
    assert np.array_equal(clips.frames(path.parent)[0], clip)
    with pytest.raises(FileExistsError):
        video.save(path, replace=False)
    (path.parent / "b0-x.png").touch()
    with pytest.raises(ltx2.InvalidArgumentError, match="a folder with other files"):
        video.save(path)


def test_numbered_frames_never_replace_the_current_folder(
    clip: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("%04d.png", "./%04d.png", tmp_path / "%04d.png"):
        with pytest.raises(ltx2.InvalidArgumentError, match=r"name one, as frames/%04d\.png"):
            ltx2.Video(clip, 8).save(path)
    assert not list(tmp_path.iterdir())


def test_metadata_is_json_wherever_it_stands(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    odd = {"prompt": "a\0b\nc" * 900, "path": Path("x"), "seed": np.uint64(2**63), "none": None}
    for name in ("webm", "mkv", "mov", "apng"):
        ltx2.Video(clip, 8, metadata=odd).save(tmp_path / f"clip.{name}")
        want = json.loads(json.dumps({**odd, "path": "x", "seed": 2**63}))
        assert media.read_metadata(tmp_path / f"clip.{name}") == want
