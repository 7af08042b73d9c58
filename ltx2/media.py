"""Videos out, and what to do when that fails; `pictures` come in.

Nothing is told late: `check_output` writes a frame as `save` will write all of them. A file appears
under its name only when it is complete: `writer` sees to that.

PyAV is imported where it is used: it takes longer to load than the rest together, and reading a
model's metadata or writing an array needs none of it.
"""

from __future__ import annotations

import errno
import functools
import itertools
import json
import logging
import math
import secrets
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from . import writer
from .codecs import decoding, encoding, one_line
from .errors import InvalidArgumentError
from .pictures import ImageLike, codec_round_trip, read_image
from .sound import Sound, Track, write_wav

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from .pictures import Pixels

__all__ = [
    "ImageLike", "array_writer", "check_output", "codec_round_trip", "preview_writer", "read_image",
    "read_metadata", "rescue", "save", "sheet",
]  # fmt: skip

_log = logging.getLogger("ltx2")

# H.264 first, in the order of how well they are known to do; the last is in every FFmpeg.
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
_DESCRIPTION = 0x010E  # EXIF's ImageDescription
# Bytes of one pixel: what a busy clip takes. .npy has no other size.
_USUAL_BYTES = {".mp4": 0.1, ".gif": 0.5, ".webp": 0.15, ".png": 2, ".npy": 3, ".wav": 0.02}
_DEFAULTS = {"width": 768, "height": 512, "frames": 121, "fps": 24}  # capabilities() has them too
_LARGEST_TRIAL = 1 << 27  # pixels: twice what the library makes
# The milliseconds that an animation's delays count in; and how many frames a second players show
# at most: they take a shorter delay (GIF: under 20 ms, WebP: under 11) for one of 100 ms.
_CLOCKS = {".gif": (10, 50), ".webp": (1, 90)}


def check_output(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    frames: int | None = None,
    fps: float | None = None,
) -> None:
    """Refuse, before any work is done, a video that `save` could not write to `path`.

    One frame of that size and rate is written next to it and removed, and free space is compared
    with what the video may take. What is not known, or is for the library to refuse, counts as the
    defaults of LTX-2.3; a comparison with those gives a warning at most.
    """
    target, ending = Path(path), _ending(path)
    default = _DEFAULTS
    sure = bool(width and height and frames and frames > 0)
    width, height = width or default["width"], height or default["height"]
    fps = fps or default["fps"]
    if min(width, height) < 1 or width % 2 or height % 2 or width * height > _LARGEST_TRIAL:
        width, height, sure = default["width"], default["height"], False
    if not 1 <= fps <= 240:
        fps = default["fps"]
    trial = np.zeros((1, height, width, 3), np.uint8)
    _check_place(target, ending)
    frames = frames if frames and frames > 0 else default["frames"]
    _check_space(target, ending, width * height * frames, sure=sure)
    _warn_of_rate(ending, fps)
    try:
        with encoding(target), writer.scratch(target) as temporary:
            if ending == ".png":
                temporary.mkdir()
            silence = Sound(np.zeros((1024, 2), np.float32), 48000)
            _WRITERS[ending](temporary, trial, fps, {}, silence)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise InvalidArgumentError(f"{target}: {one_line(error)}") from None


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
    target, ending = Path(path), _ending(path, kind)
    _check_video(frames, fps)
    if ending == ".wav" and sound is None:
        raise InvalidArgumentError(f"{path}: the video has no sound, and .wav holds nothing else")
    if sound is not None and ending not in _WITH_SOUND:
        _log.warning("%s: holds no sound; .mp4 and .wav do", path)
    _check_place(target, ending)
    _warn_of_rate(ending, fps)
    as_new = writer.new_folder if ending == ".png" else writer.new_file
    with encoding(target), as_new(target, replace=replace) as temporary:
        _WRITERS[ending](temporary, frames, fps, metadata, sound)
        _check_frame_folder(target)  # once more: this may have taken long


def encoded(
    kind: str, frames: Pixels, fps: float, metadata: Mapping[str, Any], sound: Sound | None
) -> bytes:
    """What `save` would write into a file."""
    ending = _ending("", kind)
    if ending == ".png":
        raise InvalidArgumentError("format: png is a folder of frames; `Video.images()` has them")
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
        return _encoder(width, height, _rate(fps)) != "mpeg4"
    except InvalidArgumentError:  # it would write none
        return False


def rescue(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> tuple[str, Path] | None:
    """Keep the first of these arrays that can be, when `path` could not be written.

    Returns which, and where: a new .npy beside `path`, or for temporary files, or at home. Only its
    owner can read it.
    """
    folders: list[Callable[[], Path]] = [
        lambda: Path(path).absolute().parent, lambda: Path(tempfile.gettempdir()), Path.home,
    ]  # fmt: skip
    for (name, array), folder in itertools.product(arrays.items(), folders):
        with suppress(Exception):  # any other place is better than none
            target = folder() / f"ltx2-{name}-{secrets.token_hex(4)}.npy"
            target.touch(0o600, exist_ok=False)
            try:
                array_writer(target)(array)
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
            _write_npy(temporary, array, 0, {}, None)

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
                _WRITERS[ending](temporary, pictures, fps, {}, None)

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
        text = _read_mp4(target) if target.suffix.lower() == ".mp4" else _read_pillow(target)
        about = json.loads(text)
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


# ---- what can be written where


def _ending(path: str | os.PathLike[str], kind: str | None = None) -> str:
    """As its name says, or the format that is asked for."""
    ending = Path(path).suffix.lower() if kind is None else f".{kind.lower().removeprefix('.')}"
    if ending not in _WRITERS and kind is not None:
        known = ", ".join(name[1:] for name in _WRITERS)
        raise InvalidArgumentError(f"format: {kind!r} is not one of {known}")
    if ending not in _WRITERS:
        raise InvalidArgumentError(f"{path}: its ending is not one of {', '.join(_WRITERS)}")
    return ending


def _check_video(frames: Pixels, fps: float) -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InvalidArgumentError("frames: not [frames, height, width, 3] of uint8")
    if not 0.01 <= fps <= 1000:
        raise InvalidArgumentError(f"fps: {fps:g} is not between 0.01 and 1000")


def _check_place(target: Path, ending: str) -> None:
    writer.check(target, folder=ending == ".png")
    _check_frame_folder(target)


def _check_frame_folder(target: Path) -> None:
    """It is replaced, so it may hold frames and nothing else."""
    if target.is_dir() and any(
        file.suffix != ".png" or not file.stem.isdigit() or file.is_dir()
        for file in target.iterdir()
    ):
        raise InvalidArgumentError(f"{target}: is a folder with other files in it")


def _check_space(target: Path, ending: str, pixels: int, *, sure: bool) -> None:
    """An error where no video of so many pixels fits, a warning where one may not."""
    usual, free = _USUAL_BYTES[ending] * pixels, writer.free_space(target)
    words = f"may need {usual / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are free"
    if sure and free < usual / (1 if ending == ".npy" else 50):
        raise OSError(errno.ENOSPC, words.replace("may need", "needs"), str(target))
    if free < usual:
        _log.warning("%s: %s", target, words)


# ---- formats


def _comment(metadata: Mapping[str, Any]) -> str:
    """In ASCII, for the places that hold no more; numbers of NumPy become plain ones."""

    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else str(value)

    return json.dumps(dict(metadata), default=plain)


def _write_mp4(
    path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any], sound: Sound | None
) -> None:
    import av

    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise InvalidArgumentError(f"frames: {width}x{height} is odd; .mp4 needs even sizes")
    encoder = _encoder(width, height, _rate(fps))
    # "file:", since FFmpeg takes what stands before a colon for a protocol.
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "faststart"}) as file:
        file.metadata["title"] = str(metadata.get("prompt", ""))
        file.metadata["comment"] = _comment(metadata)
        stream: Any = file.add_stream(encoder, rate=_rate(fps))
        _set_up(stream.codec_context, width, height, fps)
        track = Track(file, sound) if sound else None
        for i, pixels in enumerate(frames):
            file.mux(stream.encode(_frame(pixels)))
            if track:
                track.write_until((i + 1) / fps)
        file.mux(stream.encode(None))
        if track:
            track.close()


def _frame(pixels: Pixels) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709")


def _set_up(context: Any, width: int, height: int, fps: float) -> None:
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
    context.color_range = 1  # 16 to 235, as players expect
    if context.name == "libx264":
        context.options = {"crf": "16", "preset": "medium"}
    else:
        context.bit_rate = int(width * height * fps / 4)


def _encoder(width: int, height: int, rate: Fraction) -> str:
    """The first encoder that this FFmpeg has and that takes a frame here."""
    import av

    failed: list[str] = []
    for name in _ENCODERS:
        if name not in av.codecs_available:
            continue
        try:
            _try_encoder(name, width, height, rate)
        except MemoryError:  # PyAV's is an FFmpegError too
            raise
        except av.FFmpegError as error:
            failed.append(f"{name} takes no {width}x{height}: {one_line(error)}")
            continue
        if name != "libx264":
            why = ", ".join(failed) or "this PyAV has no libx264"
            _log.warning("video: written with %s, as %s", name, why)
        return name
    raise InvalidArgumentError(
        "; ".join(["this PyAV can write no .mp4; use .webp, .gif or .png", *failed])
    )


@functools.lru_cache
def _try_encoder(name: str, width: int, height: int, rate: Fraction) -> None:
    import av

    context: Any = av.CodecContext.create(name, "w")
    context.time_base, context.framerate = 1 / rate, rate
    _set_up(context, width, height, float(rate))
    context.encode(_frame(np.zeros((height, width, 3), np.uint8)))
    context.encode(None)


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def _warn_of_rate(ending: str, fps: float) -> None:
    _, fastest = _CLOCKS.get(ending, (1, fps))
    if fps > fastest:
        _log.warning(
            "fps: %g is more than players show of a %s; frames are left out, so that it plays at "
            "the right speed; .mp4 keeps them all", fps, ending,
        )  # fmt: skip


def _times(fps: float, count: int, ending: str) -> tuple[list[int], list[int]]:
    """Which of `count` frames are shown, and for how many milliseconds each.

    All of them, or so many of them that players keep up. The times at which they begin are
    rounded, so that no error adds up.
    """
    unit, fastest = _CLOCKS[ending]
    shown = min(fps, fastest)
    steps = max(1, math.floor(count * shown / fps + 1e-9))  # the last one may stay longer
    chosen = [math.floor(step * fps / shown + 0.5) for step in range(steps)]
    begins = [round(1000 * step / shown / unit) * unit for step in range(steps)]
    end = max(round(1000 * count / fps / unit) * unit, begins[-1] + 1000 // fastest)
    return chosen, [b - a for a, b in itertools.pairwise([*begins, end])]


def _write_pillow(path: Path, frames: Pixels, fps: float, ending: str, **options: Any) -> None:
    chosen, durations = _times(fps, len(frames), ending)
    first, *rest = (Image.fromarray(frames[index]) for index in chosen)
    first.save(
        path, ending[1:], save_all=True, append_images=rest, duration=durations, loop=0, **options
    )


def _write_gif(
    path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    _write_pillow(path, frames, fps, ".gif", comment=_comment(metadata).encode())


def _write_webp(
    path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    exif = Image.Exif()
    exif[_DESCRIPTION] = _comment(metadata)
    _write_pillow(path, frames, fps, ".webp", quality=90, method=4, exif=exif)


def _write_png(
    path: Path, frames: Pixels, _fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    """A folder of 0000.png, 0001.png, ..."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", str(metadata.get("prompt", "")))
    text.add_text("Comment", _comment(metadata))
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(path / f"{index:04}.png", pnginfo=text)


def _write_wav(
    path: Path, _frames: Any, _fps: float, _metadata: Mapping[str, Any], sound: Sound | None
) -> None:
    assert sound is not None  # save() has seen to that
    write_wav(path, sound)


def _write_npy(
    path: Path, frames: Any, _fps: float, _metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    array = np.asarray(frames)
    with path.open("wb") as file:  # np.save would hide the system's reason, as of a full disk
        about = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, about)
        for part in array:
            file.write(part.tobytes())


def _read_mp4(path: Path) -> str:
    import av

    path.stat()  # FFmpeg has words of its own for a file that is not there
    with av.open(f"file:{path}", format="mp4") as file:
        return str(file.metadata.get("comment", ""))


def _read_pillow(path: Path) -> str | bytes:
    if path.is_dir():
        path = path / "0000.png"
    with decoding(path), Image.open(path, formats=("GIF", "WEBP", "PNG")) as image:
        info = image.info.get("comment") or image.info.get("Comment")
        words: str | bytes = info or image.getexif().get(_DESCRIPTION, "")
        return words


_PREVIEWS = (".png", ".gif", ".webp")
_WRITERS = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_png,
    ".npy": _write_npy,
    ".wav": _write_wav,
}
_WITH_SOUND = {".mp4", ".wav"}
