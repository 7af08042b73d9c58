"""What comes out: a video, and, while it is made, how far the work is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import media, notebook
from .errors import InvalidArgumentError
from .sound import Sound


@dataclass(frozen=True)
class Progress:
    """How far a call is: `done` of `total` steps of `stage`.

    Stages come in this order, each only where there is work for it: "load", "enhance", "text",
    "image", "denoise", "upscale", "decode", "sound"; "load" may come again before each of the
    others.
    """

    stage: str
    done: int
    total: int

    seconds: float = field(default=0.0, compare=False)
    """Since the call began."""

    left: float | None = field(default=None, compare=False)
    """Seconds until the stage is done, as its steps have taken so far; None before the first is."""


class Clock:
    """What the reports of one call say of time."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: tuple[str, int, float] = ("", 0, self._began)  # report of the stage
        self._last = self._first  # in which something was done

    def at(self, stage: str, done: int, total: int) -> Progress:
        now = time.monotonic()
        if stage != self._last[0] or done < self._last[1]:
            self._first = self._last = (stage, done, now)
        elif done > self._last[1]:
            self._last = (stage, done, now)
        (_, began_at, began), (_, _, then) = self._first, self._last
        left = None
        if done > began_at:
            left = max(0.0, (then - began) / (done - began_at) * (total - done) - (now - then))
        return Progress(stage, done, total, now - self._began, left)


class StopError(BaseException):
    """What a progress function raised, on its way past all that handles exceptions."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def unhandled(progress: Callable[[Progress], object] | None) -> Callable[[Progress], None]:
    """A function that reports to `progress`, and raises what that does as StopError."""

    def report(now: Progress) -> None:
        try:
            if progress:
                progress(now)
        except Exception as error:
            raise StopError(error) from None

    return report


@dataclass(frozen=True, eq=False, repr=False)
class Video(Sequence[NDArray[np.uint8]]):
    """A clip and how it was made: a sequence of frames. It outlives the session that made it."""

    frames: NDArray[np.uint8]
    """[frames, height, width, 3], RGB, read-only; the library's own memory, not a copy."""

    fps: float
    """Frames per second."""

    latents: NDArray[np.float32] | None = None
    """[channels, frames', height', width'], normalised, read-only: what was decoded to `frames`."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    """prompt, seed, model and settings, as `save` writes them into the file."""

    audio: NDArray[np.float32] | None = None
    """[samples, 2], in -1..1, read-only, from the video's first moment on; None without sound."""

    sample_rate: int = 0
    """Samples of `audio` in a second."""

    @property
    def seed(self) -> int | None:
        """The seed, given or chosen: the same one gives the same video again."""
        return self.metadata.get("seed")

    def __repr__(self) -> str:
        frames, height, width, _ = self.frames.shape
        return f"Video({width}x{height}, {frames} frames, {self.fps:g} fps, seed {self.seed})"

    def __len__(self) -> int:
        return len(self.frames)

    # An array of frames is no Sequence.
    def __getitem__(  # type: ignore[override]
        self, index: SupportsIndex | slice
    ) -> NDArray[np.uint8]:
        """A frame, [height, width, 3], or several, as `frames` has them."""
        frames: NDArray[np.uint8] = self.frames[index]
        return frames

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self.frames)

    def __contains__(self, frame: object) -> bool:
        return bool(self._where(frame).size)

    def index(self, frame: object, start: int = 0, stop: int | None = None) -> int:
        """The number of the first such frame. Raises ValueError where there is none."""
        numbers = range(len(self))[start:stop]
        for number in self._where(frame):
            if number in numbers:
                return int(number)
        raise ValueError("frame: is none of the video's")

    def count(self, frame: object) -> int:
        """How many frames are like this one."""
        return len(self._where(frame))

    def _where(self, frame: object) -> NDArray[np.intp]:
        pixels = np.asarray(frame)
        if pixels.shape != self.frames.shape[1:]:
            return np.zeros(0, np.intp)
        return np.flatnonzero((self.frames == pixels).all((1, 2, 3)))

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        """For NumPy and what is built on it: `numpy.asarray(video)` is `frames`."""
        return np.array(self.frames, dtype, copy=copy)

    def images(self) -> list[Image.Image]:
        """Each frame as a picture of Pillow."""
        return [Image.fromarray(frame) for frame in self.frames]

    def to_bytes(self, format: str = "mp4") -> bytes:  # noqa: A002 - what Pillow calls it
        """The file that `save` would write, in any of its formats that is one file."""
        return media.encoded(format, self.frames, self.fps, self.metadata, self._sound)

    @property
    def _sound(self) -> Sound | None:
        return None if self.audio is None else Sound(self.audio, self.sample_rate)

    def _repr_mimebundle_(
        self, include: Collection[str] = (), exclude: Collection[str] = ()
    ) -> dict[str, str]:
        """In a notebook the clip plays."""
        html = notebook.html(self.frames, self.fps, self.metadata, self._sound)
        return {"text/plain": repr(self), **({"text/html": html} if html else {})}

    def save(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        format: str | None = None,  # noqa: A002
        *,
        replace: bool = True,
    ) -> None:
        """Write the clip; `format` says how, by default the ending of `path`.

        `path` may be an open file, which needs a `format`, such as "mp4".

        .mp4, .mov and .mkv (H.264, with the sound as AAC), .webm (VP9, Opus), .gif, .webp and .apng
        (animated), .png (a folder of that name with one picture per frame, or the folder before a
        name such as %04d.png; of one frame a picture), .jpg (of one frame), .npy (the array), .wav
        (the sound alone). Rates near those of NTSC are written as these. What was there before
        stays until the new one is complete; a link is followed. Without `replace` what is there
        stays for good, and FileExistsError is raised. `metadata` goes into the file, except into
        .npy and .wav, which have no place for it. Of a .gif above 50 frames per second, and a .webp
        or .apng above 90, frames are left out so that players show it at the right speed; a warning
        in the log says so.

        Raises InvalidArgumentError for a path or a size that the format cannot have, and OSError
        where the system refuses. Nothing else is written then: the video can be saved elsewhere.
        """
        if isinstance(path, (str, os.PathLike)):
            media.save(
                path, self.frames, self.fps, self.metadata, self._sound, format, replace=replace
            )
        elif format is None:
            raise InvalidArgumentError('format: an open file needs one, such as "mp4"')
        else:
            left = memoryview(self.to_bytes(format))
            while left:  # a pipe may take a part
                taken = path.write(left)
                if taken == 0:
                    raise OSError("the open file takes no more")
                left = left[len(left) if taken is None else taken :]
