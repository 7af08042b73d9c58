"""Pictures in: what a person sees in one becomes 8 bits of red, green and blue.

- Of EXIF only the orientation counts.
- What is transparent lies on white.
- A colour profile that is not sRGB is followed.
- More than 8 bits are scaled. Integers of 16 bits by the range of their type. Floating point, and
  integers of 32 bits, by what is in them: 0 is black and the smallest of 1, 255 and 65535 that none
  exceeds is white; with values outside of those, the lowest is black and the highest white.
- Of an animation, the first frame.
- Above 67 megapixels, or 16384 pixels in one direction, a picture is read at a whole fraction of
  its size (H.264 takes no wider one).
"""

from __future__ import annotations

import io
import logging
import math
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin, UnidentifiedImageError

from .codecs import decoding, quiet
from .errors import InvalidArgumentError

Pixels: TypeAlias = NDArray[np.uint8]
ImageLike: TypeAlias = str | os.PathLike[str] | Image.Image | Pixels

_log = logging.getLogger("ltx2")

_BACKGROUND = "white"
_MOST_PIXELS, _LONGEST_SIDE = 1 << 26, 1 << 14
_MOST_OF_A_JPEG = 1 << 29  # its reader may keep 3 bytes for each, also at a fraction
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_UNREADABLE = "is {}, which cannot be read here; save it as JPEG or PNG"
_UNREAD = {**dict.fromkeys(_HEIC, "HEIC"), b"avif": "AVIF", b"avis": "AVIF"}


def read_image(image: ImageLike) -> Pixels:
    """[height, width, 3], RGB, upright, on white where it is transparent."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            shape = "x".join(map(str, image.shape))
            raise InvalidArgumentError(
                f"image: an array of {image.dtype} {shape} is not [height, width, 3] of uint8"
            )
        part = _fraction((image.shape[1], image.shape[0]))
        small = image if part == 1 else np.asarray(Image.fromarray(image).reduce(part))
        return np.ascontiguousarray(small)
    if isinstance(image, Image.Image):
        with decoding("image"), quiet():
            return _pixels(image, "image")
    with decoding(image), quiet():
        path = Path(image)
        try:
            with _opened(path) as opened:
                return _pixels(opened, str(path))
        except FileNotFoundError:
            raise InvalidArgumentError(f"{path}: no such file") from None
        except UnidentifiedImageError:
            raise InvalidArgumentError(f"{path}: {_why_not(path)}") from None


def _opened(path: Path) -> Image.Image:
    """As Pillow opens it, but a large JPEG too, since it need not be decoded as a whole."""
    try:
        image = Image.open(path)
        if image.format != "EPS":
            return image
        image.close()  # a program, and Pillow would have Ghostscript run it
        raise InvalidArgumentError(f"{path}: {_UNREADABLE.format('EPS')}")
    except Image.DecompressionBombError:
        with suppress(SyntaxError):  # another format
            jpeg = JpegImagePlugin.JpegImageFile(path)
            if math.prod(jpeg.size) <= _MOST_OF_A_JPEG:
                return jpeg
            jpeg.close()
    raise InvalidArgumentError(
        f"{path}: has too many pixels; make it smaller, or save it as JPEG: up to "
        f"{_MOST_OF_A_JPEG // 10**6} megapixels are read"
    )


def _why_not(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    kind = _UNREAD.get(start[8:]) if start[4:8] == b"ftyp" else None
    if kind:
        return _UNREADABLE.format(kind)
    return "not an image that can be read"


def _pixels(image: Image.Image, name: str) -> Pixels:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        part = _fraction(image.size)
        image.draft(None, (image.width // part, image.height // part))
    image.load()  # .tif: turns it upright, and its EXIF no longer says so
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # all else that EXIF may hold does not matter
        turn = None
    colours = _rgb(image, name)
    colours = colours.reduce(_fraction(colours.size))
    return np.asarray(colours if turn is None else colours.transpose(turn))


def rgb(image: Image.Image, name: str) -> Pixels:
    """As it is shown: what is transparent lies on white."""
    return np.asarray(_rgb(image, name))


def _fraction(size: tuple[int, int]) -> int:
    """The least whole divisor of both sides that makes a picture small enough."""
    area = math.ceil(math.sqrt(math.prod(size) / _MOST_PIXELS))
    return max(1, area, math.ceil(max(size) / _LONGEST_SIDE))


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(image, name)).convert("RGB")
    if not image.has_transparency_data:
        return _srgb(image)
    if image.mode == "La":
        image = image.convert("LA")
    layers = image.convert("RGBA")
    below = Image.new("RGB", image.size, _BACKGROUND)
    return Image.composite(_srgb(layers.convert("RGB")), below, layers.getchannel("A"))


def _eight_bits(image: Image.Image, name: str) -> Pixels:
    values = np.asarray(image)
    if values.dtype.itemsize == 2 or image.format in ("PNG", "PPM"):  # which end at 16 bits
        grey: Pixels = (values >> 8).astype(np.uint8)
        return grey
    if not np.isfinite(values).all():
        raise InvalidArgumentError(f"{name}: the image has values that are not finite numbers")
    black, white = float(values.min()), float(values.max())
    if black >= 0:
        black, white = 0, next((top for top in (1, 255, 65535) if white <= top), white)
    scale = 255 / (white - black) if white > black else 0
    return np.rint((values.astype(np.float64) - black) * scale).astype(np.uint8)


def _srgb(image: Image.Image) -> Image.Image:
    """RGB, in the colours that the picture's own profile means."""
    profile = image.info.get("icc_profile")
    if image.mode == "P":  # the profile is of the palette's colours
        image = image.convert("RGB")
    if profile and image.mode in ("L", "RGB", "CMYK"):
        with suppress(ImageCms.PyCMSError, OSError, TypeError, ValueError):  # then as without one
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(own):
                to = ImageCms.createProfile("sRGB")
                changed = ImageCms.profileToProfile(image, own, to, outputMode="RGB")
                return changed or image.convert("RGB")
    return image.convert("RGB")


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
    with decoding("image"):
        return _one_frame(np.ascontiguousarray(pixels[:height, :width]), crf)


def _one_frame(pixels: Pixels, crf: int) -> Pixels:
    import av

    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width, _ = pixels.shape
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1)
    encoder.options = {"crf": str(crf), "preset": "veryfast"}
    decoder: Any = av.CodecContext.create("h264", "r")
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    frames = [decoded for packet in [*packets, None] for decoded in decoder.decode(packet)]
    decoded: Pixels = frames[0].to_ndarray(format="rgb24")
    return np.ascontiguousarray(decoded)
