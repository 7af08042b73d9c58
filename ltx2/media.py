"""Videos out, and what to do when that fails; `pictures` come in.

Nothing is told late: `check_output` writes a frame as `save` will write all of them. A file appears
under its name only when it is complete: `writer` sees to that.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import math
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from . import clips, containers, formats, writer
from . import sound as sounds
from .codecs import encoding, one_line
from .errors import InvalidArgumentError
from .pictures import ImageLike, codec_round_trip, read_image
from .sound import Sound

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from .pictures import Pixels

__all__ = [
    "ImageLike", "array_writer", "check_frames", "check_output", "codec_round_trip",
    "preview_writer", "read_image", "read_metadata", "rescue", "save", "sheet", "target_of",
]  # fmt: skip

_log = logging.getLogger("ltx2")

_DEFAULTS = {"width": 768, "height": 512, "frames": 121, "fps": 24}  # capabilities() has them too
_LARGEST_TRIAL = 1 << 27  # pixels: twice what the library makes
_MOST_FRAMES = 1 << 20  # far more than the library makes
_FRAMES = "%04d.png"  # in a folder
_PREVIEWS = (".png", ".gif", ".webp")


def check_output(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    frames: int | None = None,
    fps: float | None = None,
    temporal_upscalings: int | None = None,
    audio: bool | None = None,
    maybe_one: bool | None = None,
) -> None:
    """Refuse, before any work is done, a video that `save` could not write to `path`.

    One frame of that size and rate is written next to it and removed, and free space is compared
    with what the video may take, whose frames and rate are doubled as often as
    `temporal_upscalings` says. What is not known, or is for the library to refuse, counts as the
    defaults of LTX-2.3; a comparison with those gives a warning at most. With `maybe_one` frames
    that are not known may be a single one, as formats of one picture want.
    """
    default = _DEFAULTS
    frames = frames if frames and 0 < frames <= _MOST_FRAMES else None
    twice = 2 ** min(max(temporal_upscalings or 0, 0), 2)
    count = ((frames or default["frames"]) - 1) * twice + 1
    place = _place(path, 1 if maybe_one and not frames and _is_picture(path) else count)
    _check_sound(place, audio is not False)
    sure = bool(width and height and frames)
    width, height = width or default["width"], height or default["height"]
    fps = (fps or default["fps"]) * twice
    if min(width, height) < 1 or width % 2 or height % 2 or width * height > _LARGEST_TRIAL:
        width, height, sure = default["width"], default["height"], False
    if not 1 <= fps <= 240:
        fps = default["fps"]
    trial = np.zeros((1, height, width, 3), np.uint8)
    _check_place(place)
    _check_space(place, width * height * count, sure=sure)
    _warn_of_rate(place.ending, fps)
    target = place.target
    try:
        with encoding(target), writer.scratch(target) as temporary:
            if place.frames:
                temporary.mkdir()
            silence = Sound(np.zeros((1024, 2), np.float32), 48000)
            _write(temporary, place, trial, fps, {}, silence)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise InvalidArgumentError(f"{target}: {one_line(error)}") from None


def check_frames(path: str | os.PathLike[str], frames: int) -> None:
    """Refuse what has no place for so many."""
    _place(path, frames)


def save(
    path: str | os.PathLike[str],
    frames: Pixels,
    fps: float,
    metadata: Mapping[str, Any],
    sound: Sound | None = None,
    kind: str | None = None,
    *,
    replace: bool = True,
) -> None:
    """Write a video: what its name held before stays until the new one is complete.

    `kind` is the format; default: what the ending of `path` says. Without `replace` what is there
    stays for good, and FileExistsError is raised.
    """
    _check_video(frames, fps)
    sound = sound and sounds.checked(sound)
    place = _place(path, len(frames), kind)
    target, ending = place.target, place.ending
    _check_sound(place, sound is not None)
    if sound is not None and ending not in formats.WITH_SOUND:
        _log.warning("%s: holds no sound; %s do", path, ", ".join(formats.WITH_SOUND))
    _check_place(place)
    _warn_of_rate(ending, fps)
    as_new = writer.new_folder if place.frames else writer.new_file
    with encoding(target), as_new(target, replace=replace) as temporary:
        _write(temporary, place, frames, fps, metadata, sound)
        _check_frame_folder(place)  # once more: this may have taken long


def target_of(path: str | os.PathLike[str]) -> Path:
    """What is replaced where `path` is written: it, or the folder of its numbered frames."""
    target = Path(path)
    return target.parent if formats.NUMBERED.fullmatch(target.name) else target


def encoded(
    kind: str, frames: Pixels, fps: float, metadata: Mapping[str, Any], sound: Sound | None
) -> bytes:
    """What `save` would write into a file."""
    ending = _ending("", kind)
    if ending in (".png", ".jpg", ".jpeg") and len(frames) > 1:
        words = "is one picture, and the video has"
        raise InvalidArgumentError(
            f"format: {kind} {words} {len(frames)}; `Video.images()` has them"
        )
    if ending == ".wav" and sound is None:
        raise InvalidArgumentError("format: the video has no sound, and wav holds nothing else")
    with tempfile.TemporaryDirectory(prefix="ltx2-") as folder:
        path = Path(folder) / f"video{ending}"
        save(path, frames, fps, metadata, sound)
        return path.read_bytes()


def browsers_play_mp4(frames: Pixels, fps: float) -> bool:
    """Whether what `save` would write as .mp4 of these is H.264."""
    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        return False
    try:
        encoder = containers.find_encoder(".mp4", width, height, containers.rate(fps))
    except InvalidArgumentError:  # it would write none
        return False
    return encoder != "mpeg4"


def rescue(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> tuple[str, Path] | None:
    """Keep the first of these arrays that can be, when `path` could not be written.

    Returns which, and where: a new .npy, of a sound a .wav, beside `path`, or for temporary files,
    or at home. Only its owner can read it.
    """
    folders: list[Callable[[], Path]] = [
        lambda: Path(path).absolute().parent, lambda: Path(tempfile.gettempdir()), Path.home,
    ]  # fmt: skip
    for (name, array), folder in itertools.product(arrays.items(), folders):
        with suppress(Exception):  # any other place is better than none
            ending = ".wav" if isinstance(array, Sound) else ".npy"
            target = folder() / f"ltx2-{name}-{secrets.token_hex(4)}{ending}"
            target.touch(0o600, exist_ok=False)
            try:
                with writer.new_file(target) as temporary:
                    if isinstance(array, Sound):
                        sounds.write_wav(temporary, array)
                    else:
                        formats.write_npy(temporary, array, 0, {}, None)
            except BaseException:
                target.unlink()
                raise
            return name, target
    return None


def array_writer(path: str | os.PathLike[str]) -> Callable[[Any], None]:
    """A function that writes an array there, as .npy; refuses now a path it could not write to."""
    writer.check(path)

    def write(array: Any) -> None:
        with encoding(path), writer.new_file(path) as temporary:
            formats.write_npy(temporary, array, 0, {}, None)

    return write


def preview_writer(path: str | os.PathLike[str], fps: float) -> Callable[[Any], None]:
    """A function that writes the pictures of a preview there; refuses now what it could not write.

    .gif and .webp move, at `fps` pictures a second; .png has all of them on one sheet.
    """
    ending = Path(path).suffix.lower()
    if ending not in _PREVIEWS:
        words = f"{path}: its ending is not one of {', '.join(_PREVIEWS)}"
        raise InvalidArgumentError(words)
    writer.check(path)

    def write(pictures: Pixels) -> None:
        with encoding(path), writer.new_file(path) as temporary:
            if ending == ".png":
                Image.fromarray(sheet(pictures)).save(temporary, "png")
            else:
                formats.WRITERS[ending](temporary, pictures, fps, {}, None)

    return write


def sheet(pictures: Pixels) -> Pixels:
    """All of them in one, row by row, nearly as wide as high."""
    count, height, width, _ = pictures.shape
    columns = min(count, max(1, round(math.sqrt(count * height / width))))
    rows = -(-count // columns)
    whole = np.zeros((rows * columns, height, width, 3), np.uint8)
    whole[:count] = pictures
    grid = whole.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    picture: Pixels = grid.reshape(rows * height, columns * width, 3)
    return picture


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `save` wrote of a video into its file. Raises InvalidArgumentError."""
    target = Path(path)
    try:
        text = formats.comment_in(target)
        about = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except MemoryError:
        raise
    except FileNotFoundError:
        raise InvalidArgumentError(f"{path}: no such file") from None
    except Exception as error:  # whatever FFmpeg, Pillow or JSON meet in a strange file
        words = f"does not say how it was made: {one_line(error)}"
        raise InvalidArgumentError(f"{path}: {words}") from None
    if not isinstance(about, dict):
        raise InvalidArgumentError(f"{path}: does not say how it was made")
    return about


def _finite(text: str) -> float:
    """A number of JSON, which has no other; Python's reader takes NaN and 1e999 too."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number


# ---- what can be written where


def _ending(path: str | os.PathLike[str], kind: str | None = None) -> str:
    """As its name says, or the format that is asked for."""
    ending = Path(path).suffix.lower() if kind is None else f".{kind.lower().removeprefix('.')}"
    if ending not in formats.WRITERS and kind is not None:
        known = ", ".join(name[1:] for name in formats.WRITERS)
        raise InvalidArgumentError(f"format: {kind!r} is not one of {known}")
    if ending not in formats.WRITERS:
        words = f"{path}: its ending is not one of {', '.join(formats.WRITERS)}"
        raise InvalidArgumentError(words)
    return ending


def _is_picture(path: str | os.PathLike[str]) -> bool:
    """Or may become one: .png is a folder too."""
    target = Path(path)
    return _ending(path) in (".jpg", ".jpeg") or (_ending(path) == ".png" and target.is_file())


class _Place(NamedTuple):
    target: Path
    ending: str
    frames: str
    """How the frames in it are called; "" where it is one file."""


def _place(path: str | os.PathLike[str], count: int, kind: str | None = None) -> _Place:
    """Where a video of so many frames goes."""
    target, ending = Path(path), _ending(path, kind)
    if ending in (".jpg", ".jpeg") and count > 1:
        words = f"{path}: holds one picture, and the video has {count}; .png is a folder of them"
        raise InvalidArgumentError(words)
    if ending != ".png":
        return _Place(target, ending, "")
    if not formats.NUMBERED.fullmatch(target.name):
        return _Place(target, ending, _FRAMES if count > 1 else "")
    if target.parent.resolve() == Path.cwd():  # which would be replaced
        words = f"{path}: is not in a folder of its own; name one, as frames/{target.name}"
        raise InvalidArgumentError(words)
    return _Place(target.parent, ending, target.name)


def _write(
    path: Path, place: _Place, frames: Pixels, fps: float, metadata: Mapping[str, Any],
    sound: Sound | None,
) -> None:  # fmt: skip
    if place.frames:
        formats.write_frames(path, frames, metadata, place.frames)
    else:
        formats.WRITERS[place.ending](path, frames, fps, metadata, sound)


def _check_video(frames: Pixels, fps: float) -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InvalidArgumentError("frames: not [frames, height, width, 3] of uint8")
    clips.check_rate(fps)


def _check_sound(place: _Place, there: bool) -> None:
    if place.ending == ".wav" and not there:
        words = f"{place.target}: the video has no sound, and .wav holds nothing else"
        raise InvalidArgumentError(words)


def _check_place(place: _Place) -> None:
    writer.check(place.target, folder=bool(place.frames))
    _check_frame_folder(place)


def _check_frame_folder(place: _Place) -> None:
    """It is replaced, so it may hold frames and nothing else."""
    target = place.target
    if target.is_dir() and any(
        not formats.is_frame_name(place.frames, file.name) or file.is_dir()
        for file in target.iterdir()
    ):
        raise InvalidArgumentError(f"{target}: is a folder with other files in it")


def _check_space(place: _Place, pixels: int, *, sure: bool) -> None:
    """An error where no video of so many pixels fits, a warning where one may not."""
    target, ending, _ = place
    usual, free = formats.USUAL_BYTES[ending] * pixels, writer.free_space(target)
    words = f"may need {usual / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free"
    if sure and free < usual / (1 if ending == ".npy" else 50):
        raise OSError(errno.ENOSPC, words.replace("may need", "needs"), str(target))
    if free < usual:
        _log.warning("%s: %s", target, words)


def _warn_of_rate(ending: str, fps: float) -> None:
    _, fastest = formats.CLOCKS.get(ending, (1, fps))
    if fps > fastest:
        _log.warning(
            "fps: %g is more than players show of a %s; frames are left out, so that it plays at "
            "the right speed; .mp4 keeps them all", fps, ending,
        )  # fmt: skip
