"""How a clip becomes a file, by the ending of its name, and what such a file says of itself."""

from __future__ import annotations

import itertools
import json
import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image, PngImagePlugin

from . import containers
from .codecs import decoding, quiet
from .containers import CONTAINERS
from .errors import InvalidArgumentError
from .sound import Sound, write_wav
from .text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .pictures import Pixels

_DESCRIPTION = 0x010E  # EXIF's ImageDescription
# Bytes of one pixel: what a busy clip takes. .npy has no other size.
USUAL_BYTES = {
    ".gif": 0.5, ".webp": 0.15, ".apng": 2, ".png": 2, ".jpg": 0.5, ".jpeg": 0.5, ".npy": 3,
    ".wav": 0.02, **dict.fromkeys(CONTAINERS, 0.1),
}  # fmt: skip
# The milliseconds that an animation's delays count in; and how many frames a second players show
# at most: they take a shorter delay (GIF: under 20 ms, WebP and PNG: under 11) for one of 100 ms.
CLOCKS = {".gif": (10, 50), ".webp": (1, 90), ".apng": (1, 90)}
WITH_SOUND = (*CONTAINERS, ".wav")
WITHOUT_METADATA = {".npy", ".wav"}
NUMBERED = re.compile(r"(.*)%(0?\d*)d(.*\.png)", re.IGNORECASE)
"""The name of one frame of several, as printf has it."""


class Writer(Protocol):
    def __call__(
        self, path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any],
        sound: Sound | None, /,
    ) -> None: ...  # fmt: skip


def comment_in(path: Path) -> str | bytes:
    """What a file, or the first picture of a folder, says of how it was made."""
    if path.suffix.lower() in CONTAINERS:
        return containers.comment(path)
    if path.is_dir():
        path = next(iter(frames_in(path)), path / "0000.png")
    kinds = ("GIF", "WEBP", "PNG", "JPEG")
    with decoding(path), quiet(), Image.open(path, formats=kinds) as image:
        info = image.info.get("comment") or image.info.get("Comment")
        words: str | bytes = info or image.getexif().get(_DESCRIPTION, "")
        return words


def frames_in(folder: Path) -> list[Path]:
    """The pictures of a folder, in order: of their numbers, whose zeros may be left out."""

    def key(file: Path) -> list[tuple[int, str]]:
        parts = re.split(r"(\d+)", file.name, flags=re.ASCII)
        return [(int(part[:999]), "") if i % 2 else (0, part) for i, part in enumerate(parts)]

    return sorted((f for f in folder.iterdir() if f.suffix.lower() == ".png"), key=key)


def frame_name(pattern: str, index: int) -> str:
    """Of a name with %04d in it."""
    found = NUMBERED.fullmatch(pattern)
    assert found is not None
    before, width, after = found.groups()
    return f"{before}{index:{width or '0'}d}{after}"


def is_frame_name(pattern: str, name: str) -> bool:
    found = NUMBERED.fullmatch(pattern)
    assert found is not None
    return bool(re.fullmatch(re.escape(found[1]) + r" *\d+" + re.escape(found[3]), name))


def write_frames(
    folder: Path, frames: Pixels, metadata: Mapping[str, Any], pattern: str = "%04d.png"
) -> None:
    """A folder of 0000.png, 0001.png, ..., or of what the pattern says."""
    for index, pixels in enumerate(frames):
        _write_picture(folder / frame_name(pattern, index), pixels[None], 0, metadata, None)


def write_npy(
    path: Path, frames: Any, _fps: float, _metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    array = np.asarray(frames)
    with path.open("wb") as file:  # np.save would hide the system's reason, as of a full disk
        about = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, about)
        for part in array:
            file.write(part.tobytes())


def times(fps: float, count: int, ending: str) -> tuple[list[int], list[int]]:
    """Which of `count` frames are shown, and for how many milliseconds each.

    All of them, or so many of them that players keep up. The times at which they begin are
    rounded, so that no error adds up.
    """
    unit, fastest = CLOCKS[ending]
    shown = min(fps, fastest)
    steps = max(1, math.floor(count * shown / fps + 1e-9))  # the last one may stay longer
    chosen = [math.floor(step * fps / shown + 0.5) for step in range(steps)]
    begins = [round(1000 * step / shown / unit) * unit for step in range(steps)]
    end = max(round(1000 * count / fps / unit) * unit, begins[-1] + 1000 // fastest)
    return chosen, [b - a for a, b in itertools.pairwise([*begins, end])]


def _comment(metadata: Mapping[str, Any]) -> str:
    """In ASCII, for the places that hold no more; numbers of NumPy become plain ones."""
    return json.dumps(dict(metadata), default=plain)


def _write_container(
    ending: str, path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any],
    sound: Sound | None,
) -> None:  # fmt: skip
    about = str(metadata.get("prompt", "")), _comment(metadata)
    containers.write(path, ending, frames, fps, about, sound)


def _write_animation(path: Path, frames: Pixels, fps: float, ending: str, **options: Any) -> None:
    chosen, durations = times(fps, len(frames), ending)
    first, *rest = (Image.fromarray(frames[index]) for index in chosen)
    kind = "png" if ending == ".apng" else ending[1:]
    first.save(path, kind, save_all=True, append_images=rest, duration=durations, loop=0, **options)


def _write_gif(
    path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    _write_animation(path, frames, fps, ".gif", comment=_comment(metadata).encode())


def _exif(metadata: Mapping[str, Any]) -> Image.Exif:
    exif = Image.Exif()
    exif[_DESCRIPTION] = _comment(metadata)
    return exif


def _write_webp(
    path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    _write_animation(path, frames, fps, ".webp", quality=90, method=4, exif=_exif(metadata))


def _png_info(metadata: Mapping[str, Any]) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", str(metadata.get("prompt", "")))
    text.add_text("Comment", _comment(metadata))
    return text


def _write_apng(
    path: Path, frames: Pixels, fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    _write_animation(path, frames, fps, ".apng", pnginfo=_png_info(metadata))


def _write_picture(
    path: Path, frames: Pixels, _fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    Image.fromarray(frames[0]).save(path, "png", pnginfo=_png_info(metadata))


def _write_jpeg(
    path: Path, frames: Pixels, _fps: float, metadata: Mapping[str, Any], _sound: Sound | None
) -> None:
    picture = Image.fromarray(frames[0])
    about = _comment(metadata).encode()
    if len(about) >= 1 << 16:  # the most that a comment of JPEG holds
        raise InvalidArgumentError(f"{path}: has no place for so long a prompt; use .png")
    picture.save(path, "jpeg", quality=95, subsampling="4:4:4", comment=about)


def _write_wav(
    path: Path, _frames: Any, _fps: float, _metadata: Mapping[str, Any], sound: Sound | None
) -> None:
    assert sound is not None  # save() has seen to that
    write_wav(path, sound)


WRITERS: dict[str, Writer] = {
    **{ending: partial(_write_container, ending) for ending in CONTAINERS},
    ".gif": _write_gif,
    ".webp": _write_webp,
    ".apng": _write_apng,
    ".png": _write_picture,  # of one frame; `write_frames` has more
    ".jpg": _write_jpeg,
    ".jpeg": _write_jpeg,
    ".npy": write_npy,
    ".wav": _write_wav,
}
