"""Videos out, without a model."""

from __future__ import annotations

import contextlib
import json
import logging
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, WebPImagePlugin

import ltx2
from ltx2 import containers, formats, media, sound, writer

METADATA = {"prompt": "ein roter Kreis → 赤い円", "seed": 2**64 - 1, "model": "m.gguf", "fps": 7.5}


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / max(float(np.mean((a.astype(float) - b) ** 2)), 1e-9)))


def read_mp4(path: Path) -> tuple[NDArray[np.uint8], dict[str, str], Any]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        frames = [
            frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
            for frame in file.decode(stream)
        ]
        facts = (stream.codec_context.name, stream.average_rate, stream.codec_context.pix_fmt)
        return np.stack(frames), dict(file.metadata), facts


def test_mp4_is_h264_with_true_colours_rate_and_metadata(
    clip: NDArray[np.uint8], tmp_path: Path
) -> None:
    ltx2.Video(clip, 7.5, metadata=METADATA).save(tmp_path / "clip.mp4")
    frames, metadata, facts = read_mp4(tmp_path / "clip.mp4")
    assert facts == ("h264", 7.5, "yuv420p")
    assert frames.shape == clip.shape
    assert psnr(frames[:, 24:40, 44:46], clip[:, 24:40, 44:46]) > 40  # inside the square
    assert psnr(frames, clip) > 25
    assert metadata["title"] == METADATA["prompt"]
    assert json.loads(metadata["comment"]) == METADATA


def test_mp4_says_which_encoder_stood_in(
    clip: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with caplog.at_level(logging.WARNING, "ltx2"):
        ltx2.Video(clip, 8).save(tmp_path / "clip.mp4")
    assert "written with mpeg4" in caplog.text
    frames, _, facts = read_mp4(tmp_path / "clip.mp4")
    assert facts[0] == "mpeg4"
    assert psnr(frames, clip) > 22


def test_an_encoder_that_does_not_open_gives_way_to_the_next(
    clip: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = containers._try_encoder

    def tried(name: str, *rest: Any) -> None:
        if name != "mpeg4":
            raise av.error.ExternalError(542398533, "no such chip")
        real(name, *rest)

    monkeypatch.setattr(containers, "_try_encoder", tried)
    with caplog.at_level(logging.WARNING, "ltx2"):
        ltx2.Video(clip, 8).save(tmp_path / "clip.mp4")
    assert "written with mpeg4, as libx264 takes no 96x64: no such chip" in caplog.text
    assert read_mp4(tmp_path / "clip.mp4")[2][0] == "mpeg4"
    monkeypatch.setattr(av, "codecs_available", {"libx264"})
    with pytest.raises(ltx2.InvalidArgumentError, match=r"no \.mp4; .*no such chip"):
        media.check_output(tmp_path / "clip.mp4", width=96, height=64)


def test_mp4_of_an_odd_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="even"):
        ltx2.Video(np.zeros((1, 32, 33, 3), np.uint8), 8).save(tmp_path / "odd.mp4")
    assert not list(tmp_path.iterdir())


def test_gif_has_its_times_and_metadata(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    ltx2.Video(clip, 8, metadata=METADATA).save(tmp_path / "clip.gif")
    with Image.open(tmp_path / "clip.gif") as file:
        assert isinstance(file, GifImagePlugin.GifImageFile)
        comment = file.info["comment"]
        durations = []
        for index in range(file.n_frames):
            file.seek(index)
            durations.append(file.info["duration"])
            assert psnr(np.asarray(file.convert("RGB")), clip[index]) > 30
    assert json.loads(comment) == METADATA
    assert len(durations) == len(clip)
    assert sum(durations) == 1120  # 9 frames at 8 a second, in hundredths
    assert set(durations) == {120, 130}


def test_webp_has_its_times_and_metadata(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    ltx2.Video(clip, 8, metadata=METADATA).save(tmp_path / "clip.webp")
    with Image.open(tmp_path / "clip.webp") as file:
        assert isinstance(file, WebPImagePlugin.WebPImageFile)
        assert file.n_frames == len(clip)
        assert json.loads(file.getexif()[0x010E]) == METADATA
        file.seek(3)
        file.load()
        assert file.info["duration"] == 125
        assert psnr(np.asarray(file.convert("RGB")), clip[3]) > 25


RATES = [*range(1, 241), 24000 / 1001, 30000 / 1001, 60000 / 1001, 120000 / 1001, 7.5, 50.01, 0.01]


@pytest.mark.parametrize(("ending", "shortest", "unit"), [(".gif", 20, 10), (".webp", 11, 1)])
@pytest.mark.parametrize("count", [1, 2, 9, 121])
def test_every_rate_plays_at_the_right_speed(
    ending: str, shortest: int, unit: int, count: int
) -> None:
    """Browsers show a frame of a shorter delay for 100 ms."""
    for fps in RATES:
        chosen, delays = formats.times(fps, count, ending)
        assert len(chosen) == len(delays)
        assert min(delays) >= shortest, fps
        assert all(delay % unit == 0 for delay in delays)
        assert abs(sum(delays) - 1000 * count / fps) <= max(unit / 2, shortest - 1000 / fps), fps
        begins = np.cumsum([0, *delays[:-1]])
        late = begins - np.array(chosen) * 1000 / fps  # behind the frame's own time
        assert abs(late).max() <= 500 / fps * (len(chosen) < count) + unit / 2 + 1e-6, fps
        if fps <= 50:
            assert chosen == list(range(count))


@pytest.mark.parametrize("fps", [0, 1001, float("nan"), 10**400])
def test_a_rate_that_no_file_has_is_refused(
    fps: float, clip: NDArray[np.uint8], tmp_path: Path
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=f"fps: {fps} is not between"):
        ltx2.Video(clip, fps).save(tmp_path / "clip.gif")


@pytest.mark.parametrize(("ending", "fps"), [(".gif", 60), (".gif", 120), (".webp", 100)])
def test_a_rate_that_players_slow_down_is_told(
    ending: str,
    fps: float,
    clip: NDArray[np.uint8],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "ltx2"):
        ltx2.Video(clip, fps).save(tmp_path / f"clip{ending}")
    assert f"fps: {fps} is more than players show of a {ending}" in caplog.text
    assert ".mp4 keeps them all" in caplog.text
    with Image.open(tmp_path / f"clip{ending}") as file:
        durations = []
        for index in range(getattr(file, "n_frames", 1)):
            file.seek(index)
            file.load()
            durations.append(file.info["duration"])
    assert len(durations) < len(clip)
    assert abs(sum(durations) - 1000 * len(clip) / fps) <= 5


def test_png_is_a_folder_of_exact_frames(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    video = ltx2.Video(clip, 8, metadata=METADATA)
    video.save(tmp_path / "clip.png")
    video.save(tmp_path / "clip.png")  # a folder of frames may be replaced
    files = sorted((tmp_path / "clip.png").iterdir())
    assert [file.name for file in files] == [f"{index:04}.png" for index in range(len(clip))]
    for file, pixels in zip(files, clip, strict=True):
        with Image.open(file) as image:
            assert np.array_equal(np.asarray(image), pixels)
            assert image.info["Title"] == METADATA["prompt"]
            assert json.loads(image.info["Comment"]) == METADATA


def test_npy_is_the_array(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    ltx2.Video(clip, 8).save(tmp_path / "CLIP.NPY")
    assert np.array_equal(np.load(tmp_path / "CLIP.NPY"), clip)


@pytest.mark.parametrize("ending", ["mp4", "gif", "webp", "png", "npy"])
def test_one_frame_is_a_video_too(ending: str, clip: NDArray[np.uint8], tmp_path: Path) -> None:
    ltx2.Video(clip[:1], 24, metadata={"seed": np.int64(3)}).save(tmp_path / f"one.{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"one.{ending}"]


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".webp", ".npy"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    ending: str, clip: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"clip{ending}"
    target.write_bytes(b"old")
    real = formats.WRITERS[ending]

    def fails_late(path: Path, *rest: Any) -> None:
        real(path, *rest)
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(formats.WRITERS, ending, fails_late)
    with pytest.raises(OSError, match="No space"):
        ltx2.Video(clip, 8).save(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_codec_that_fails_is_an_os_error(
    clip: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(containers, "_frame", fails)
    with pytest.raises(OSError, match=r"clip\.mp4: could not be written: Generic error"):
        ltx2.Video(clip, 8).save(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (RuntimeError("two\nlines"), OSError),
        (struct.error(), OSError),
        (av.error.MemoryError(12, "out"), ltx2.OutOfMemoryError),
        (MemoryError(), ltx2.OutOfMemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_whatever_an_encoder_raises_is_one_line_that_names_the_file(
    raised: BaseException,
    becomes: type[BaseException],
    clip: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise raised

    for name in ("mp4", "gif", "webp", "png"):
        with monkeypatch.context() as patch:
            patch.setattr(Image, "fromarray", fails)
            patch.setattr(av.VideoFrame, "from_ndarray", fails)
            with pytest.raises(becomes) as caught:
                ltx2.Video(clip, 8).save(tmp_path / f"clip.{name}")
        if not isinstance(raised, KeyboardInterrupt):
            assert f"clip.{name}" in str(caught.value)
            assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_free_space_is_compared_with_what_a_video_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    size: dict[str, Any] = {"width": 64, "height": 64, "frames": 9}
    bytes_needed = 64 * 64 * 9 * 3
    for free, name, error, warning in (
        (bytes_needed, "a.npy", False, False),
        (bytes_needed - 1, "a.npy", True, False),
        (10**4, "a.gif", False, True),
        (100, "a.mp4", False, True),
        (10, "a.mp4", True, False),
    ):
        monkeypatch.setattr(writer, "free_space", lambda _, free=free: free)
        caplog.clear()
        with (
            pytest.raises(OSError, match=r"needs 0 MiB, 0 MiB are free: '.*a\.")
            if error
            else contextlib.nullcontext()
        ):
            media.check_output(tmp_path / name, **size)
        assert ("may need 0 MiB" in caplog.text) == warning, name
    doubled = 64 * 64 * 33 * 3  # twice: of 9 frames 33
    for free, error in ((doubled, False), (doubled - 1, True)):
        monkeypatch.setattr(writer, "free_space", lambda _, free=free: free)
        with pytest.raises(OSError, match="are free") if error else contextlib.nullcontext():
            media.check_output(tmp_path / "a.npy", temporal_upscalings=2, **size)
    caplog.clear()
    for doublings, warns in ((0, False), (2, True)):  # of 24 frames a second 96
        media.check_output(tmp_path / "a.gif", temporal_upscalings=doublings, fps=24, **size)
        assert ("fps: 96 is more than players show of a .gif" in caplog.text) == warns
    media.check_output(tmp_path / "b.npy")  # what the model's own size is, only it knows
    assert "b.npy: may need 136 MiB" in caplog.text
    assert media._DEFAULTS.items() <= ltx2.capabilities()["defaults"].items()


def test_what_could_not_be_saved_is_kept_where_there_is_place(
    clip: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the output, else where temporary files go, else at home."""
    gone, temporary, home = (tmp_path / name for name in ("gone", "temporary", "home"))
    home.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("HOME", str(home))
    for folder in (home, temporary, gone):
        folder.mkdir(exist_ok=True)
        kept = media.rescue(gone / "clip.mp4", {"frames": clip})
        assert kept is not None
        assert kept[0] == "frames"
        assert kept[1].parent == folder
        assert np.array_equal(np.load(kept[1]), clip)
    tone = np.linspace(-0.5, 0.5, 2000, dtype="f4").reshape(-1, 2)
    heard = media.rescue(gone / "clip.mp4", {"sound": sound.Sound(tone, 8000)})
    assert heard is not None
    found = sound.read(heard[1])
    assert (found.rate, found.samples.shape) == (8000, (1000, 2))
    assert abs(found.samples - tone).max() < 1e-4  # 16 bits: 3e-5


def test_any_metadata_is_written(clip: NDArray[np.uint8], tmp_path: Path) -> None:
    odd = {"prompt": "a\0b\nc" * 9000, "path": Path("x"), "seed": np.uint64(2**63), "none": None}
    for name in ("mp4", "gif", "webp", "png"):
        ltx2.Video(clip, 8, metadata=odd).save(tmp_path / f"clip.{name}")


def test_paths_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file.png").write_bytes(b"")
    (tmp_path / "mine.png").mkdir()
    (tmp_path / "mine.png" / "letter.txt").write_text("dear")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "2024.png" / "01.png").mkdir(parents=True)  # frames of another video, perhaps
    for name, words in {
        "clip": "ending",
        "clip.avi": "ending",
        "none/clip.mp4": "no folder",
        "file.png": "is a file",
        "mine.png": "other files",
        "2024.png": "other files",
        "folder.mp4": "is a folder",
    }.items():
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            media.check_output(tmp_path / name)


@pytest.mark.parametrize(
    ("frames", "fps"),
    [
        (np.zeros((0, 4, 4, 3), np.uint8), 8),
        (np.zeros((4, 4, 3), np.uint8), 8),
        (np.zeros((1, 4, 4, 3), np.float32), 8),
        (np.zeros((1, 4, 4, 3), np.uint8), 0),
        (np.zeros((1, 4, 4, 3), np.uint8), float("nan")),
    ],
)
def test_what_is_no_video_is_refused(frames: Any, fps: float, tmp_path: Path) -> None:
    with pytest.raises(ltx2.InvalidArgumentError):
        ltx2.Video(frames, fps).save(tmp_path / "clip.npy")
