"""Pictures in, videos out: the only file that meets a codec.

PyAV is imported where it is used: it takes longer to load than the rest together, and reading a
model's metadata or writing an array needs none of it.
"""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import tempfile
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from .errors import InvalidArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Pixels: TypeAlias = NDArray[np.uint8]

ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[np.uint8]"

_log = logging.getLogger("ltx2")

# H.264 first, in the order of how well they are known to do; the last is in every FFmpeg.
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
_DESCRIPTION = 0x010E  # EXIF's ImageDescription


# ---- pictures in


def read_image(image: ImageLike) -> Pixels:
    """[height, width, 3], RGB, rotated upright as EXIF says; transparency is dropped."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            shape = "x".join(map(str, image.shape))
            raise InvalidArgumentError(
                f"image: an array of {image.dtype} {shape} is not [height, width, 3] of uint8"
            )
        return np.ascontiguousarray(image)
    if isinstance(image, Image.Image):
        return _rgb(image)
    path = Path(image)
    try:
        with Image.open(path) as opened:
            return _rgb(opened)
    except FileNotFoundError:
        raise InvalidArgumentError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise InvalidArgumentError(f"{path}: not an image that can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidArgumentError(f"{path}: the image cannot be read: {error}") from None


def _rgb(image: Image.Image) -> Pixels:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip, not scale
        grey = (np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8)
        return np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    return np.asarray(upright.convert("RGB"))


def codec_round_trip(pixels: Pixels, crf: int) -> Pixels:
    """The picture as one frame of H.264 keeps it, as the model's training pictures were.

    Cropped to even sizes at the bottom and right. `crf` 0 skips it; so does, with a warning, an
    FFmpeg without libx264.
    """
    if not 0 <= crf <= 51:
        raise InvalidArgumentError(f"crf: {crf} is not between 0 and 51")
    if crf == 0:
        return pixels
    import av

    if "libx264" not in av.codecs_available:
        _log.warning("image: used as it is, not through H.264: this PyAV has no libx264")
        return pixels
    height, width = (size // 2 * 2 for size in pixels.shape[:2])
    if not (height and width):
        return pixels
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1)
    encoder.options = {"crf": str(crf), "preset": "veryfast"}
    decoder: Any = av.CodecContext.create("h264", "r")
    even = np.ascontiguousarray(pixels[:height, :width])
    frame = av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    frames = [decoded for packet in [*packets, None] for decoded in decoder.decode(packet)]
    decoded: Pixels = frames[0].to_ndarray(format="rgb24")
    return np.ascontiguousarray(decoded)


# ---- videos out


def check_output(path: str | os.PathLike[str]) -> None:
    """Refuse, before any work is done, a path that `save` could not write to."""
    target = Path(path)
    if target.suffix.lower() not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise InvalidArgumentError(f"{target}: its ending is not one of {known}")
    frames = target.suffix.lower() == ".png"
    _check_place(target, folder=frames)
    if frames:
        _check_frame_folder(target)


def _check_place(target: Path, *, folder: bool = False) -> None:
    if not target.parent.is_dir():
        raise InvalidArgumentError(f"{target}: there is no folder {target.parent}")
    try:
        if not folder and target.is_dir():
            raise InvalidArgumentError(f"{target}: is a folder")
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise InvalidArgumentError(f"{target}: cannot be written: {error.strerror}") from None


def array_writer(path: str | os.PathLike[str]) -> Callable[[Any], None]:
    """A function that writes an array there, as .npy; refuses now a path it could not write to."""
    target = Path(path)
    _check_place(target)

    def write(array: Any) -> None:
        with _renamed(target) as temporary:
            _write_npy(temporary, array, 0, {})

    return write


def save(
    path: str | os.PathLike[str], frames: Pixels, fps: float, metadata: Mapping[str, Any]
) -> None:
    """Write under a temporary name in the same folder, then rename."""
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InvalidArgumentError("frames: not [frames, height, width, 3] of uint8")
    if not 0 < fps <= 1000:
        raise InvalidArgumentError(f"fps: {fps:g} is not above 0 and at most 1000")
    check_output(path)
    target = Path(path)
    with _renamed(target) as temporary:
        _WRITERS[target.suffix.lower()](temporary, frames, fps, metadata)


@contextmanager
def _renamed(target: Path) -> Iterator[Path]:
    """A temporary name that becomes `target` if all goes well, and disappears if not."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        temporary = folder / target.name
        yield temporary
        if target.is_dir():  # a folder can only take the place of an empty one
            target.replace(folder / "old")
        temporary.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _comment(metadata: Mapping[str, Any]) -> str:
    """In ASCII, for the places that hold no more; numbers of NumPy become plain ones."""
    return json.dumps(dict(metadata), default=lambda value: value.item())


def _write_mp4(path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any]) -> None:
    import av

    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise InvalidArgumentError(f"frames: {width}x{height} is odd; .mp4 needs even sizes")
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
            file.metadata["title"] = str(metadata.get("prompt", ""))
            file.metadata["comment"] = _comment(metadata)
            stream = _video_stream(file, width, height, fps)
            for pixels in frames:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                file.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
            file.mux(stream.encode(None))
    except av.FFmpegError as error:
        raise OSError(error.errno, f"the video could not be written: {error.strerror}") from error


def _video_stream(file: Any, width: int, height: int, fps: float) -> Any:
    """A stream with the first encoder that this FFmpeg has and that opens here."""
    import av

    for name in _ENCODERS:
        if name not in av.codecs_available:
            continue
        options = {"crf": "16", "preset": "medium"} if name == "libx264" else {}
        stream = file.add_stream(name, rate=_rate(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # 16 to 235, as players expect
        if name != "libx264":
            stream.bit_rate = int(width * height * fps / 4)
            _log.warning("%s: written with %s, as this PyAV has no libx264", file.name, name)
        return stream
    raise InvalidArgumentError("this PyAV can write no .mp4; use .webp, .gif or .png")


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def _write_pillow(path: Path, frames: Pixels, fps: float, **options: Any) -> None:
    """An animation; the times at which frames begin are rounded, so that no error adds up."""
    unit = 10 if path.suffix.lower() == ".gif" else 1  # milliseconds that the format counts in
    ticks = [round(1000 * index / fps / unit) * unit for index in range(len(frames) + 1)]
    durations = [end - start for start, end in itertools.pairwise(ticks)]
    first, *rest = (Image.fromarray(pixels) for pixels in frames)
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, **options)


def _write_gif(path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any]) -> None:
    _write_pillow(path, frames, fps, format="GIF", comment=_comment(metadata).encode())


def _write_webp(path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any]) -> None:
    exif = Image.Exif()
    exif[_DESCRIPTION] = _comment(metadata)
    _write_pillow(path, frames, fps, format="WEBP", quality=90, method=4, exif=exif)


def _write_png(path: Path, frames: Pixels, _fps: float, metadata: Mapping[str, Any]) -> None:
    """A folder of 0000.png, 0001.png, ..."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", str(metadata.get("prompt", "")))
    text.add_text("Comment", _comment(metadata))
    path.mkdir()
    for index, pixels in enumerate(frames):
        Image.fromarray(pixels).save(path / f"{index:04}.png", pnginfo=text)


def _check_frame_folder(path: Path) -> None:
    """The folder is replaced, so it may hold frames and nothing else."""
    if path.exists() and not path.is_dir():
        raise InvalidArgumentError(f"{path}: is a file; .png writes a folder of frames")
    if path.is_dir() and any(
        file.suffix != ".png" or not file.stem.isdigit() for file in path.iterdir()
    ):
        raise InvalidArgumentError(f"{path}: is a folder with other files in it")


def _write_npy(path: Path, frames: Pixels, _fps: float, _metadata: Mapping[str, Any]) -> None:
    with path.open("wb") as file:  # np.save would add an ending of its own to a name like A.NPY
        np.save(file, frames)


_WRITERS = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".png": _write_png,
    ".npy": _write_npy,
}
