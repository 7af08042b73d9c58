"""Sound out, beside the pictures of an .mp4 or alone in a .wav, and in, from any file."""

from __future__ import annotations

import itertools
import math
import wave
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .codecs import decoding
from .errors import InvalidArgumentError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Sound(NamedTuple):
    samples: NDArray[np.float32]
    """[samples, channels], in -1..1; of what a model makes, two channels."""
    rate: int
    """Samples a second."""


_MOST_SAMPLES = 1 << 27  # a gigabyte of two channels
_GAP, _LONGEST_GAP = 0.05, 600.0  # seconds without sound that are more than inexact times, or wrong


def read(path: str | os.PathLike[str], seconds: float = math.inf) -> Sound:
    """As `find`; InvalidArgumentError where there is none."""
    if (found := find(path, seconds)) is None:
        raise InvalidArgumentError(f"{path}: holds no sound")
    return found


def find(path: str | os.PathLike[str], seconds: float = math.inf) -> Sound | None:
    """That of a file which PyAV reads, of sound or of a video, or None: one channel or two, as far
    as so many seconds, 2^27 samples at most.
    """
    import av

    with decoding(path, "sound"):
        Path(path).stat()  # FFmpeg has words of its own for a file that is not there
        if Path(path).is_dir():
            return None
        file: Any = av.open(f"file:{Path(path)}")
        with file:
            if not file.streams.audio:
                return None
            stream = file.streams.audio[0]
            samples = _decoded(file, stream, min(_MOST_SAMPLES, seconds * stream.rate))
        return Sound(samples, stream.rate) if len(samples) else None


def _decoded(file: Any, stream: Any, most: float) -> NDArray[np.float32]:
    """From the first picture on, with silence where there is none."""
    import av

    rate, channels = stream.rate, min(2, stream.channels)
    # FFmpeg keeps a mix of more channels in -1..1 where it is of whole numbers.
    kind = "s32" if stream.channels > 2 else "flt"
    resampler = av.AudioResampler(kind, "mono" if channels == 1 else "stereo", rate)
    pieces: list[NDArray[np.float32]] = []
    count, begin = 0, None  # samples since the first picture; seconds of that
    skipped = 0  # samples before it

    def add(new: NDArray[np.float32]) -> None:
        nonlocal count
        pieces.append(new)
        count += len(new)

    for frame in itertools.chain(file.decode(stream), [None]):
        if frame is not None and frame.time is not None:
            if begin is None:
                later = _seconds_after_pictures(file, frame)
                begin = float(frame.time) - later
                count = min(0, round(later * rate))
                skipped = -count
            missing = round((float(frame.time) - begin) * rate) - count
            if (not pieces and missing > 0) or _GAP < missing / rate < _LONGEST_GAP:
                add(np.zeros((min(missing, math.ceil(most)), channels), np.float32))
        for one in resampler.resample(frame):
            add(_samples(one, channels))
        if count >= most:
            break
    if not pieces:
        return np.empty((0, channels), np.float32)
    whole = np.concatenate(pieces)
    whole = whole[min(len(whole) - 1, skipped) :]
    return whole[: math.ceil(min(most, len(whole)))]


def checked(sound: Sound) -> Sound:
    """As a video has it. Raises InvalidArgumentError where it is no such sound."""
    samples, rate = np.asarray(sound.samples), sound.rate
    floats = np.issubdtype(samples.dtype, np.floating)
    if not floats or samples.ndim != 2 or samples.shape[1] != 2 or not samples.size:
        shape = "x".join(map(str, samples.shape))
        raise InvalidArgumentError(
            f"audio: {samples.dtype} of {shape} is not [samples, 2] of float32"
        )
    if not np.isfinite(samples).all():
        raise InvalidArgumentError("audio: has values that are not finite numbers")
    if not isinstance(rate, (int, np.integer)) or not 0 < rate < 1 << 31:
        raise InvalidArgumentError(f"sample_rate: {rate!r} is no number of samples a second")
    return Sound(samples.astype(np.float32, copy=False), int(rate))


def _seconds_after_pictures(file: Any, first: Any) -> float:
    """When the first piece of sound is heard, from the first picture on; within ten minutes."""
    pictures = file.streams.video
    if not pictures or pictures[0].start_time is None or first.time is None:
        return 0.0
    later = float(first.time) - float(pictures[0].start_time * pictures[0].time_base)
    return min(_LONGEST_GAP, max(-_LONGEST_GAP, later))


def resampled(sound: Sound, rate: int) -> Sound:
    """At another rate, by FFmpeg; of two channels."""
    import av

    mono = sound.samples.shape[1] == 1
    samples = np.repeat(sound.samples, 2, 1) if mono else sound.samples[:, :2]
    if sound.rate == rate:
        return Sound(samples, rate)
    frame: Any = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples).reshape(1, -1), "flt", "stereo"
    )
    frame.sample_rate = sound.rate
    resampler = av.AudioResampler("flt", "stereo", rate)
    made = [_samples(one, 2) for f in (frame, None) for one in resampler.resample(f)]
    return Sound(np.concatenate(made), rate)


def _samples(frame: Any, channels: int) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = frame.to_ndarray().reshape(-1, channels)
    if samples.dtype != np.float32:
        samples = np.ldexp(samples.astype(np.float32), -31)
    return samples


def lasting(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """So many: with silence after them, or cut."""
    silence = np.zeros((max(0, count - len(samples)), samples.shape[1]), np.float32)
    return np.concatenate([samples[:count], silence])


def joined(
    first: NDArray[np.float32], second: NDArray[np.float32], begin: int, cut: int
) -> NDArray[np.float32]:
    """`second`, which begins at a sample of the first, from `cut` on: over 10 ms both pass into
    each other."""
    count = max(0, min(480, len(first) - cut, len(second) - (cut - begin)))
    share = np.linspace(0, 1, count, dtype=np.float32)[:, None]
    old, new = first[cut : cut + count], second[cut - begin :]
    return np.concatenate([first[:cut], old + (new[:count] - old) * share, new[count:]])


def write_wav(path: Path, sound: Sound) -> None:
    """16 bits, as players read them."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((sound.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


class Track:
    """The sound of a file that PyAV writes, which takes it piece by piece between the pictures."""

    def __init__(self, file: Any, sound: Sound, codec: str) -> None:
        self._sound, self._file, self._done = sound, file, 0
        self._stream = file.add_stream(codec, rate=sound.rate, layout="stereo")
        self._stream.codec_context.bit_rate = 192_000

    def write_until(self, seconds: float) -> None:
        """What is heard before then."""
        for packet in self._packets(round(seconds * self._sound.rate)):
            self._file.mux(packet)

    def close(self) -> None:
        self.write_until(len(self._sound.samples) / self._sound.rate + 1)
        self._file.mux(self._stream.encode(None))

    def _packets(self, end: int) -> Iterator[Any]:
        import av

        whole = len(self._sound.samples)
        while self._done < min(end, whole):
            piece = self._sound.samples[self._done : self._done + 1024]
            planes = np.ascontiguousarray(piece.T, np.float32)
            frame: Any = av.AudioFrame.from_ndarray(planes, "fltp", "stereo")
            frame.sample_rate, frame.pts = self._sound.rate, self._done
            frame.time_base = Fraction(1, self._sound.rate)
            self._done += len(piece)
            yield from self._stream.encode(frame)
