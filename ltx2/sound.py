"""Sound out: beside the pictures of an .mp4, or alone in a .wav."""

from __future__ import annotations

import wave
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


class Sound(NamedTuple):
    samples: NDArray[np.float32]
    """[samples, 2], in -1..1."""
    rate: int
    """Samples a second."""


def write_wav(path: Path, sound: Sound) -> None:
    """16 bits, as players read them."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((sound.samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


class Track:
    """The sound of a file that PyAV writes, which takes it piece by piece between the pictures."""

    def __init__(self, file: Any, sound: Sound) -> None:
        self._sound, self._file, self._done = sound, file, 0
        self._stream = file.add_stream("aac", rate=sound.rate, layout="stereo")
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
