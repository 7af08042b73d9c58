"""The videos that FFmpeg writes, by PyAV: .mp4, .mov, .mkv and .webm.

PyAV is imported where it is used: it takes longer to load than the rest together, and reading a
model's metadata or writing an array needs none of it.
"""

from __future__ import annotations

import functools
import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .codecs import one_line
from .errors import InvalidArgumentError
from .sound import Sound, Track, resampled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .pictures import Pixels

_log = logging.getLogger("ltx2")


class Container(NamedTuple):
    format: str  # FFmpeg's name
    encoders: tuple[str, ...]  # in the order of how well they are known to do
    sound: str
    options: Mapping[str, str] = {}


_H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")  # the last is in all
_VP9 = ("libvpx-vp9", "libsvtav1", "libaom-av1", "libvpx")
CONTAINERS = {
    ".mp4": Container("mp4", _H264, "aac", {"movflags": "faststart"}),
    ".mov": Container("mov", _H264, "aac", {"movflags": "faststart"}),
    ".mkv": Container("matroska", _H264, "aac"),
    ".webm": Container("webm", _VP9, "libopus"),
}
# Of an encoder that is told a quality. The others are told bits for a second.
_QUALITY = {
    # else two runs on a processor with AVX-512 differ by a bit now and then
    "libx264": {"crf": "16", "preset": "medium", "x264-params": "cpu-independent=1"},
    "libvpx-vp9": {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"},
}
_NTSC = (24, 30, 48, 60, 120)  # whose rates in truth are 1000/1001 of these


def rate(fps: float) -> Fraction:
    """As a fraction: 23.976 and 29.97 are the rates of NTSC, 24000/1001 and 30000/1001."""
    for whole in _NTSC:
        exact = Fraction(whole * 1000, 1001)
        if abs(fps - exact) < 0.005:
            return exact
    return Fraction(fps).limit_denominator(1001)


def write(
    path: Path, ending: str, frames: Pixels, fps: float, about: tuple[str, str],
    sound: Sound | None,
) -> None:  # fmt: skip
    """A file of that ending; `about` are its title and its comment."""
    import av

    _, height, width, _ = frames.shape
    if height % 2 or width % 2:
        raise InvalidArgumentError(f"frames: {width}x{height} is odd; {ending} needs even sizes")
    kind = CONTAINERS[ending]
    encoder = find_encoder(ending, width, height, rate(fps))
    # "file:", since FFmpeg takes what stands before a colon for a protocol.
    with av.open(f"file:{path}", "w", format=kind.format, options=dict(kind.options)) as file:
        file.metadata["title"], file.metadata["comment"] = about
        stream: Any = file.add_stream(encoder, rate=rate(fps))
        _set_up(stream.codec_context, width, height, fps)
        track = Track(file, _at_a_rate_of(kind.sound, sound), kind.sound) if sound else None
        for i, pixels in enumerate(frames):
            file.mux(stream.encode(_frame(pixels)))
            if track:
                track.write_until((i + 1) / fps)
        file.mux(stream.encode(None))
        if track:
            track.close()


def _at_a_rate_of(codec: str, sound: Sound) -> Sound:
    """As it is where the codec has its rate, else at the next above, or the highest."""
    import av

    rates = sorted(av.Codec(codec, "w").audio_rates or [sound.rate])
    return resampled(sound, next((rate for rate in rates if rate >= sound.rate), rates[-1]))


def comment(path: Path) -> str:
    """What `write` wrote."""
    import av

    path.stat()  # FFmpeg has words of its own for a file that is not there
    with av.open(f"file:{path}", format=CONTAINERS[path.suffix.lower()].format) as file:
        known = {name.lower(): text for name, text in file.metadata.items()}
        return str(known.get("comment", ""))


def find_encoder(ending: str, width: int, height: int, rate: Fraction) -> str:
    """The first encoder that this FFmpeg has and that takes a frame here."""
    import av

    failed: list[str] = []
    encoders = CONTAINERS[ending].encoders
    for name in encoders:
        if name not in av.codecs_available:
            continue
        try:
            _try_encoder(name, width, height, rate)
        except MemoryError:  # PyAV's is an FFmpegError too
            raise
        except av.FFmpegError as error:
            failed.append(f"{name} takes no {width}x{height}: {one_line(error)}")
            continue
        if name != encoders[0]:
            why = ", ".join(failed) or f"this PyAV has no {encoders[0]}"
            _log.warning("video: written with %s, as %s", name, why)
        return name
    raise InvalidArgumentError(
        "; ".join([f"this PyAV can write no {ending}; use .webp, .gif or .png", *failed])
    )


def _frame(pixels: Pixels) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace="ITU709")


def _set_up(context: Any, width: int, height: int, fps: float) -> None:
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
    context.color_range = 1  # 16 to 235, as players expect
    if context.name in _QUALITY:
        context.options = _QUALITY[context.name]
    else:
        context.bit_rate = int(width * height * fps / 4)


@functools.lru_cache
def _try_encoder(name: str, width: int, height: int, rate: Fraction) -> None:
    import av

    context: Any = av.CodecContext.create(name, "w")
    context.time_base, context.framerate = 1 / rate, rate
    _set_up(context, width, height, float(rate))
    context.encode(_frame(np.zeros((height, width, 3), np.uint8)))
    context.encode(None)
