"""Videos in: the frames of a file or an array, at the rate and the sizes that the model takes."""

from __future__ import annotations

import logging
import math
from contextlib import closing
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from . import formats, pictures
from .codecs import decoding, quiet
from .errors import InvalidArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from .pictures import Pixels

_log = logging.getLogger("ltx2")

CELL, GROUP = 32, 8  # pixels to a side of a latent; frames to one, after the first
_MOST_FRAMES, _MOST_BYTES = 4097, 1 << 32
_FAR_TOO_MANY = 1 << 31
_LONGEST_SIDE = 8192
_USUAL_RATE = 24.0  # where nothing says it
_LOOKED_AT = 600  # packets, from which the rate is told
_SQUARE = 0.01  # by how much a pixel's sides may differ: sizes are rounded
_BT709, _UNSAID, _BT601 = 1, 2, 5  # FFmpeg's numbers of colour spaces
_PQ, _HLG = 16, 18  # and of brightness curves


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
    own rate, which of frames that last differently is that of most, or 24 where it has none. No
    more than `most` frames are read.
    """
    check_rate(fps)
    with decoding(clip, "video"):
        path = Path(clip)
        path.stat()  # FFmpeg has words of its own for a file that is not there
        own, shown = _opened(path)
        rate = fps or own
        with closing(shown):
            return _stacked(_at_rate(shown, rate), clip, most), rate


def check_rate(fps: float | None) -> None:
    if fps is not None and not 0.01 <= fps <= 1000:
        raise InvalidArgumentError(f"fps: {fps} is not between 0.01 and 1000")


def _stacked(pictures: Iterator[Pixels], clip: str | os.PathLike[str], most: int | None) -> Pixels:
    """All in one array, which grows: a list of them besides would take as much again."""
    room = np.empty(0, np.uint8)
    count, shape = 0, (0, 0, 0)
    for picture in pictures:
        if most is not None and count >= most:
            break
        if not count:
            shape = picture.shape
        elif picture.shape != shape:
            words = "{1}x{0}".format(*picture.shape) + " after {1}x{0}".format(*shape)
            raise InvalidArgumentError(f"{clip}: its frames differ in size: {words}")
        if count == min(_MOST_FRAMES, _MOST_BYTES // picture.nbytes):
            _log.warning("%s: only its first %d frames are read", clip, count)
            break
        begin = count * picture.nbytes
        if len(room) < begin + picture.nbytes:
            room.resize(begin + picture.nbytes * max(1, min(count // 8, 64)), refcheck=False)
        room[begin : begin + picture.nbytes] = picture.reshape(-1)
        count += 1
    if not count:
        raise InvalidArgumentError(f"{clip}: holds no frames")
    room.resize(count * math.prod(shape), refcheck=False)
    return room.reshape(count, *shape)


def at_rate(frames: Pixels, own: float, fps: float, most: int | None = None) -> Pixels:
    """Of `own` frames a second, as many as `fps` has, as those of a file are taken."""
    if fps == own:
        return frames[:most]
    shown = ((i / own, 1 / own, picture) for i, picture in enumerate(frames))
    return np.stack(list(islice(_at_rate(shown, fps), most)))


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


def whole(frames: NDArray[Any], name: str, *, any_count: bool = False) -> Pixels:
    """Cut to multiples of 32, of which the middle stays, and at the end to 8k + 1 frames, unless
    there may be any count of them."""
    frames = checked(frames, name)
    count, height, width, _ = frames.shape
    if min(height, width) < CELL:
        raise InvalidArgumentError(f"{name}: {width}x{height} is below {CELL}x{CELL}")
    few = count if any_count else whole_count(count)
    rows, columns = height // CELL * CELL, width // CELL * CELL
    if (few, rows, columns) == (count, height, width):
        return frames
    _log.warning(
        "%s: %d frames of %dx%d are cut to %d of %dx%d, as sizes are multiples of %d and frames "
        "are %dk + 1", name, count, width, height, few, columns, rows, CELL, GROUP,
    )  # fmt: skip
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(frames[:few, top : top + rows, left : left + columns])


_Shown: TypeAlias = "Generator[tuple[float, float, Pixels], None, None]"
"""Frames, with the seconds at which each begins and for which it is shown."""


def _opened(path: Path) -> tuple[float, _Shown]:
    """With the rate."""
    if path.is_dir():
        return _USUAL_RATE, _of_folder(path)
    if path.suffix.lower() == ".webp":  # FFmpeg reads no animated one
        return _of_pillow(path)
    return _of_av(path)


def _of_folder(path: Path) -> _Shown:
    for i, picture in enumerate(formats.frames_in(path)):
        yield i / _USUAL_RATE, 1 / _USUAL_RATE, pictures.read_image(picture)


def _of_pillow(path: Path) -> tuple[float, _Shown]:
    with quiet():
        image = Image.open(path, formats=("WEBP",))
        count = getattr(image, "n_frames", 1)
    durations = []
    for i in range(count):
        with quiet():
            image.seek(i)
            image.load()
        durations.append(image.info.get("duration", 0) / 1000 or 1 / _USUAL_RATE)

    def frames() -> _Shown:
        begins = 0.0
        for i, duration in enumerate(durations):
            with quiet():
                image.seek(i)
                picture = pictures.rgb(image, str(path))
            yield begins, duration, picture
            begins += duration

    return _usual_rate(durations, None), frames()


def _usual_rate(durations: list[float], stated: float | None) -> float:
    """That of most frames, since frames that are alike are often merged to a longer one; `stated`
    is exact, None where the format rounds times."""
    usual = median(durations) if durations else 0
    if usual <= 0:
        return stated or _USUAL_RATE
    rate = 1 / fmean(d for d in durations if usual / 1.6 < d < usual * 1.6)
    exact = float(round(rate)) if stated is None else stated
    if abs(exact - rate) < 0.01 * rate:
        return exact
    return min(1000.0, max(0.01, float(Fraction(rate).limit_denominator(1001))))


def _of_av(path: Path) -> tuple[float, _Shown]:
    import av

    with av.open(f"file:{path}") as file:
        stream = _pictures_in(file, path)
        packets = islice(file.demux(stream), _LOOKED_AT)
        times = sorted({p.pts * p.time_base for p in packets if p.pts is not None})
        durations = [float(b - a) for a, b in pairwise(times)]
        is_rounded = path.suffix.lower() in formats.CLOCKS
        rate = _usual_rate(durations, None if is_rounded else float(stream.guessed_rate or 0))

    def frames() -> _Shown:
        with av.open(f"file:{path}") as file:
            stream = _pictures_in(file, path)
            stream.thread_type = "AUTO"
            aspect = float(stream.sample_aspect_ratio or 1)
            first, count, end = None, 0, 0.0
            for frame in file.decode(stream):
                if not count and frame.color_trc in (_PQ, _HLG):
                    _log.warning("%s: is HDR, and is read as if it were not; convert it", path)
                now = count / rate if frame.time is None else float(frame.time)
                first = now if first is None else first
                length = float(frame.duration * frame.time_base) if frame.duration else 1 / rate
                count, end = count + 1, now - first + length
                yield now - first, length, _pixels(frame, aspect, path)
            seconds = _stated_seconds(file, stream)
            stated = stream.frames or round(seconds * rate)
            if count < stated and end + 1.5 / rate < seconds:  # not what an edit list leaves out
                _log.warning("%s: ends early: %d of %d frames are read", path, count, stated)

    return rate, frames()


def _pictures_in(file: Any, path: Path) -> Any:
    """The stream of a video; the cover of a song is none."""
    from av.stream import Disposition

    for stream in file.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InvalidArgumentError(f"{path}: holds no video")


def _stated_seconds(file: Any, stream: Any) -> float:
    """Of the video; 0 where the file does not say."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    alone = len(file.streams) == 1  # else it may be the sound that lasts
    return (file.duration or 0) / 1e6 if alone else 0.0


def _pixels(frame: Any, aspect: float, path: Path) -> Pixels:
    """RGB, upright, of square pixels: those of `aspect`, width by height, are made wider or higher.

    A file that does not say its colours is BT.709 where it is of that time. What is transparent
    lies on white, as in a picture.
    """
    width, height = frame.width, frame.height
    if abs(aspect - 1) > _SQUARE:
        width, height = round(width * max(aspect, 1)), round(height / min(aspect, 1))
    if max(width, height) > _LONGEST_SIDE:
        raise InvalidArgumentError(f"{path}: {width}x{height} is above {_LONGEST_SIDE}")
    colours = frame.colorspace
    if colours == _UNSAID and frame.format.name.startswith("yuv"):
        colours = _BT709 if frame.height >= 720 else _BT601
    kind = "rgba" if any(part.is_alpha for part in frame.format.components) else "rgb24"
    whole = frame.reformat(width, height, kind, src_colorspace=colours).to_ndarray()
    if kind == "rgba":
        whole = pictures.rgb(Image.fromarray(whole), str(path))
    return _upright(whole, frame)


def _upright(whole: Pixels, frame: Any) -> Pixels:
    """Turned and mirrored as a player would, by quarters of a turn."""
    from av.sidedata.sidedata import Type

    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return whole
    a, b, _, c, d = (int(n) for n in np.frombuffer(matrix, "<i4", 5))
    across, down = a, d  # x' = a x + c y, y' = b x + d y
    if abs(b) > abs(a):
        whole, across, down = whole.swapaxes(0, 1), c, b
    return np.ascontiguousarray(whole[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


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
