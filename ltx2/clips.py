"""Videos in: the frames of a file or an array, at the rate and the sizes that the model takes."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from . import formats, pictures
from .codecs import decoding, quiet
from .errors import InvalidArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from .pictures import Pixels

_log = logging.getLogger("ltx2")

CELL, GROUP = 32, 8  # pixels to a side of a latent; frames to one, after the first
_MOST_FRAMES, _MOST_BYTES = 4097, 1 << 32
_FAR_TOO_MANY = 1 << 31
_LONGEST_SIDE = 8192
_USUAL_RATE = 24.0  # where nothing says it
_SQUARE = 0.01  # by how much a pixel's sides may differ: sizes are rounded
_BT709, _UNSAID, _BT601 = 1, 2, 5  # FFmpeg's numbers of colour spaces


def read(clip: str | os.PathLike[str], fps: float | None = None) -> tuple[Pixels, float]:
    """As `frames`, cut as `whole` has it, which is said in the log."""
    found, rate = frames(clip, fps)
    return whole(found, str(clip)), rate


def frames(
    clip: str | os.PathLike[str], fps: float | None = None, most: int | None = None
) -> tuple[Pixels, float]:
    """[frames, height, width, 3] and frames per second, of a file that PyAV or Pillow reads, or of
    a folder of .png.

    It is taken at `fps`, by repeating frames and leaving some out as ffmpeg does; default: its
    own rate, or 24 where it has none. No more than `most` frames are read.
    """
    with decoding(clip, "video"):
        path = Path(clip)
        path.stat()  # FFmpeg has words of its own for a file that is not there
        own, shown = _opened(path)
        rate = fps or own
        kept: list[Pixels] = []
        for picture in _at_rate(shown, rate):
            if most is not None and len(kept) >= most:
                break
            if len(kept) == min(_MOST_FRAMES, _MOST_BYTES // picture.nbytes):
                _log.warning("%s: only its first %d frames are read", clip, len(kept))
                break
            kept.append(picture)
        if not kept:
            raise InvalidArgumentError(f"{clip}: holds no frames")
        return np.stack(kept), rate


def checked(frames: NDArray[Any], name: str) -> Pixels:
    """Raises InvalidArgumentError where they are no frames."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not frames.size:
        shape = "x".join(map(str, frames.shape))
        raise InvalidArgumentError(
            f"{name}: {frames.dtype} of {shape} is not [frames, height, width, 3] of uint8"
        )
    return np.ascontiguousarray(frames)


def whole_count(frames: int) -> int:
    """8k + 1, as many as there are of them; 1 at least."""
    return max(0, frames - 1) // GROUP * GROUP + 1


def nearest_count(frames: float) -> int:
    """8k + 1, the nearest that a video can have."""
    few = min(frames, float(_FAR_TOO_MANY))  # a whole number still, for the library to refuse
    return max(0, round((few - 1) / GROUP)) * GROUP + 1


def whole(frames: NDArray[Any], name: str) -> Pixels:
    """Cut to multiples of 32, of which the middle stays, and at the end to 8k + 1 frames."""
    frames = checked(frames, name)
    count, height, width, _ = frames.shape
    if min(height, width) < CELL:
        raise InvalidArgumentError(f"{name}: {width}x{height} is below {CELL}x{CELL}")
    few = whole_count(count)
    rows, columns = height // CELL * CELL, width // CELL * CELL
    if (few, rows, columns) == (count, height, width):
        return frames
    _log.warning(
        "%s: %d frames of %dx%d are cut to %d of %dx%d, as sizes are multiples of %d and frames "
        "are %dk + 1", name, count, width, height, few, columns, rows, CELL, GROUP,
    )  # fmt: skip
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(frames[:few, top : top + rows, left : left + columns])


def _opened(path: Path) -> tuple[float, Iterator[tuple[float, float, Pixels]]]:
    """The rate, and each frame with the seconds at which it begins and for which it is shown."""
    if path.is_dir():
        return _USUAL_RATE, _of_folder(path)
    if path.suffix.lower() == ".webp":  # FFmpeg reads no animated one
        return _of_pillow(path)
    return _of_av(path)


def _of_folder(path: Path) -> Iterator[tuple[float, float, Pixels]]:
    for i, picture in enumerate(formats.frames_in(path)):
        yield i / _USUAL_RATE, 1 / _USUAL_RATE, pictures.read_image(picture)


def _of_pillow(path: Path) -> tuple[float, Iterator[tuple[float, float, Pixels]]]:
    with quiet():
        image = Image.open(path, formats=("WEBP",))
        count = getattr(image, "n_frames", 1)
    durations = []
    for i in range(count):
        with quiet():
            image.seek(i)
            image.load()
        durations.append(image.info.get("duration", 0) / 1000 or 1 / _USUAL_RATE)

    def frames() -> Iterator[tuple[float, float, Pixels]]:
        begins = 0.0
        for i, duration in enumerate(durations):
            with quiet():
                image.seek(i)
                picture = np.asarray(image.convert("RGB"))
            yield begins, duration, picture
            begins += duration

    return count / sum(durations), frames()


def _of_av(path: Path) -> tuple[float, Iterator[tuple[float, float, Pixels]]]:
    import av

    file: Any = av.open(f"file:{path}")
    if not file.streams.video:
        raise InvalidArgumentError(f"{path}: holds no video")
    stream = file.streams.video[0]
    stream.thread_type = "AUTO"
    rate = float(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
    aspect = float(stream.sample_aspect_ratio or 1)

    def frames() -> Iterator[tuple[float, float, Pixels]]:
        with file:
            first, count, end = None, 0, 0.0
            for frame in file.decode(stream):
                now = count / rate if frame.time is None else float(frame.time)
                first = now if first is None else first
                length = float(frame.duration * frame.time_base) if frame.duration else 1 / rate
                count, end = count + 1, now - first + length
                yield now - first, length, _pixels(frame, aspect)
            seconds = _stated_seconds(file, stream)
            stated = stream.frames or round(seconds * rate)
            if count < stated and end + 1.5 / rate < seconds:  # not what an edit list leaves out
                _log.warning("%s: ends early: %d of %d frames are read", path, count, stated)

    return rate, frames()


def _stated_seconds(file: Any, stream: Any) -> float:
    """Of the video; 0 where the file does not say."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    alone = len(file.streams) == 1  # else it may be the sound that lasts
    return (file.duration or 0) / 1e6 if alone else 0.0


def _pixels(frame: Any, aspect: float) -> Pixels:
    """RGB, upright, of square pixels: those of `aspect`, width by height, are made wider or higher.

    A file that does not say its colours is BT.709 where it is of that time.
    """
    width, height = frame.width, frame.height
    if abs(aspect - 1) > _SQUARE:
        width, height = round(width * max(aspect, 1)), round(height / min(aspect, 1))
    if max(width, height) > _LONGEST_SIDE:
        raise InvalidArgumentError(f"{width}x{height} is above {_LONGEST_SIDE}")
    colours = frame.colorspace
    if colours == _UNSAID and frame.format.name.startswith("yuv"):
        colours = _BT709 if frame.height >= 720 else _BT601
    whole = frame.reformat(width, height, "rgb24", src_colorspace=colours).to_ndarray()
    turns = round(getattr(frame, "rotation", 0) / 90)
    return np.ascontiguousarray(np.rot90(whole, turns))


def _at_rate(frames: Iterable[tuple[float, float, Pixels]], fps: float) -> Iterator[Pixels]:
    """One picture for each tick: the one shown then, as ffmpeg's filter `fps` has it."""
    tick, before, end = 0, None, 0.0
    for begins, length, picture in frames:
        first = math.floor(begins * fps + 0.5 + 1e-6)
        while before is not None and tick < first:
            yield before
            tick += 1
        before, end = picture, begins + length
    last = max(tick + 1, math.floor(end * fps + 0.5))
    while before is not None and tick < last:
        yield before
        tick += 1
