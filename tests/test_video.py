"""A video as Python has it: a sequence of frames, an array, bytes, a file, a clip in a notebook."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ltx2
from ltx2 import clips, containers, media, notebook, sound
from ltx2.video import Clock


@pytest.fixture
def video() -> ltx2.Video:
    """A square that moves right on a ground that brightens, with a tone."""
    frames = np.zeros((9, 64, 96, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:] = 10 * i
        frame[16:48, 8 * i : 8 * i + 32] = (255, 0, 0)
    tone = np.sin(np.arange(24000, dtype=np.float32) / 20)
    metadata = {"prompt": 'a <red> "square"', "seed": 3}
    return ltx2.Video(frames, 18.0, None, metadata, np.stack([tone, tone], 1), 48000)


def test_it_is_a_sequence_of_frames(video: ltx2.Video) -> None:
    assert len(video) == 9
    assert np.array_equal(video[-1], video.frames[8])
    assert np.array_equal(video[2:4], video.frames[2:4])
    assert [frame[32, 0, 0] for frame in video] == list(video.frames[:, 32, 0, 0])
    with pytest.raises(IndexError):
        video[9]
    assert isinstance(video, Sequence)
    assert np.array_equal(list(reversed(video)), video.frames[::-1])


def test_it_knows_its_frames(video: ltx2.Video) -> None:
    still = ltx2.Video(np.concatenate([video.frames, video.frames[:3]]), 18.0)
    assert video[3] in video
    assert video[3] + 1 not in video
    assert video[3][:8] not in video
    assert "a frame" not in video
    assert [still.index(video[2], start) for start in (0, 3, -4)] == [2, 11, 11]
    assert (still.count(video[2]), still.count(video[3]), still.count(0)) == (2, 1, 0)
    with pytest.raises(ValueError, match="frame: is none of the video's"):
        still.index(video[2], 3, 11)


def test_it_is_an_array_and_pictures(video: ltx2.Video) -> None:
    assert np.shares_memory(np.asarray(video), video.frames)
    assert not np.shares_memory(np.array(video), video.frames)
    assert np.asarray(video, np.float32).dtype == np.float32
    pictures = video.images()
    assert [picture.size for picture in pictures] == [(96, 64)] * 9
    assert np.array_equal(np.asarray(pictures[3]), video.frames[3])


def test_progress_says_what_is_over_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100, 102, 103, 104, 106, 107, 110, 200, 201])
    monkeypatch.setattr("ltx2.video.time", SimpleNamespace(monotonic=lambda: next(now)))
    clock, said = Clock(), []
    for stage, done in (
        ("load", 0), ("load", 1), ("denoise", 2), ("denoise", 3), ("denoise", 3), ("denoise", 4),
        ("denoise", 4), ("load", 0),
    ):  # fmt: skip
        progress = clock.at(stage, done, 6)
        said.append((progress.stage, progress.done, progress.seconds, progress.left))
    assert said == [
        ("load", 0, 2, None),
        ("load", 1, 3, 5),
        ("denoise", 2, 4, None),  # which another run had done
        ("denoise", 3, 6, 6),
        ("denoise", 3, 7, 5),  # amid a step
        ("denoise", 4, 10, 6),
        ("denoise", 4, 100, 0),  # never less
        ("load", 0, 101, None),
    ]


# ---- into bytes and open files


@pytest.mark.parametrize("format", ["mp4", ".MP4", "gif", "webp", "apng", "npy", "wav"])
def test_its_bytes_are_those_of_a_file(video: ltx2.Video, format: str, tmp_path: Path) -> None:  # noqa: A002
    kind = format.lower().removeprefix(".")
    video.save(tmp_path / f"clip.{kind}")
    assert video.to_bytes(format) == (tmp_path / f"clip.{kind}").read_bytes()
    into = io.BytesIO()
    video.save(into, format)
    assert into.getvalue() == video.to_bytes(format)


def test_a_format_counts_more_than_the_ending(video: ltx2.Video, tmp_path: Path) -> None:
    video.save(tmp_path / "clip", format="gif")
    with Image.open(tmp_path / "clip") as picture:
        assert picture.format == "GIF"


def test_formats_that_cannot_be_are_refused(video: ltx2.Video, tmp_path: Path) -> None:
    refused = ltx2.InvalidArgumentError
    with pytest.raises(refused, match="format: 'avi' is not one of mp4, "):
        video.save(tmp_path / "clip.mp4", "avi")
    with pytest.raises(refused, match="format: png is one picture, and the video has"):
        video.to_bytes("png")
    with pytest.raises(refused, match="format: jpg is one picture, and the video has"):
        video.to_bytes("jpg")
    with pytest.raises(refused, match="format: the video has no sound"):
        ltx2.Video(video.frames, video.fps).to_bytes("wav")
    with pytest.raises(refused, match="format: an open file needs one"):
        video.save(io.BytesIO())
    assert not [*tmp_path.iterdir()]


# ---- in a notebook


def shown(video: ltx2.Video, folder: Path) -> tuple[str, Path]:
    """The HTML without its data, and those as a file."""
    bundle = video._repr_mimebundle_()
    assert bundle["text/plain"] == repr(video)
    found = re.fullmatch(r"(<.+?)data:\w+/(\w+);base64,([^\"]+)(\".*>)", bundle["text/html"])
    assert found
    path = folder / f"shown.{found[2]}"
    path.write_bytes(base64.b64decode(found[3]))
    return found[1] + found[4], path


def test_it_plays_in_a_notebook(video: ltx2.Video, tmp_path: Path) -> None:
    element, path = shown(video, tmp_path)
    assert element.startswith("<video controls autoplay loop muted")
    assert 'title="a &lt;red&gt; &quot;square&quot;"' in element
    frames, fps = clips.frames(path)
    assert (path.suffix, frames.shape, fps) == (".mp4", video.frames.shape, 18.0)
    assert sound.find(path)
    assert media.read_metadata(path)["seed"] == 3


def test_without_h264_it_is_shown_as_webp(
    video: ltx2.Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = containers.CONTAINERS[".mp4"]._replace(encoders=("mpeg4",))
    monkeypatch.setitem(containers.CONTAINERS, ".mp4", kind)
    element, path = shown(video, tmp_path)
    assert element.startswith("<img alt=")
    assert path.suffix == ".webp"
    assert clips.frames(path)[0].shape == video.frames.shape
    monkeypatch.undo()
    odd = ltx2.Video(video.frames[:, :63], 18.0)
    assert shown(odd, tmp_path)[1].suffix == ".webp"


def test_what_a_notebook_holds_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (9, 96, 128, 3), np.uint8)
    video = ltx2.Video(noise, 9.0)
    monkeypatch.setattr(notebook, "LIMIT", 40_000)
    path = shown(video, tmp_path)[1]
    assert path.stat().st_size <= notebook.LIMIT
    frames = clips.frames(path)[0]
    assert len(frames) == 9 and 16 <= frames.shape[1] < 96
    monkeypatch.setattr(notebook, "LIMIT", 100)
    with caplog.at_level(logging.WARNING, "ltx2"):
        assert video._repr_mimebundle_() == {"text/plain": repr(video)}
    assert "is not shown" in caplog.text


def test_a_full_disk_leaves_the_text(
    video: ltx2.Video, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(media, "encoded", full)
    assert video._repr_mimebundle_() == {"text/plain": repr(video)}
    assert "No space left" in caplog.text


CELLS = [
    "import ltx2, os\nsession = ltx2.Session(os.environ['LTX2_MODEL'].split(os.pathsep))",
    "session.t2v('a red circle', seed=1, width=64, height=64, frames=9, steps=2)",
    "(await session.at2v('a red circle', seed=2, frames=1, steps=1)).seed",
]


def test_a_notebook_shows_the_clip(model: str, command: None, tmp_path: Path) -> None:
    nbclient, nbformat, _ = (
        pytest.importorskip(name, reason=f"needs {name}, of the extra dev")
        for name in ("nbclient", "nbformat", "ipykernel")
    )
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    data = book.cells[1].outputs[-1]["data"]
    assert data["text/plain"].startswith("Video(") and "9 frames" in data["text/plain"]
    assert re.match(r"<(video|img) .*data:(video/mp4|image/webp);base64,", data["text/html"])
    assert book.cells[2].outputs[-1]["data"]["text/plain"] == "2"
