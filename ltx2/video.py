"""What comes out: a video, and, while it is made, how far the work is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import media
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


@dataclass(frozen=True, eq=False, repr=False)
class Video:
    """A clip and how it was made. It outlives the session that made it."""

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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the clip; the ending of `path` says how.

        .mp4 (H.264, with the sound as AAC), .gif, .webp (animated), .png (a folder of that name
        with one picture per frame), .npy (the array), .wav (the sound alone). What was there before
        stays until the new one is complete; a link is followed. `metadata` goes into the file,
        except into .npy and .wav, which have no place for it. Of a .gif above 50 frames per second,
        and a .webp above 90, frames are left out so that players show it at the right speed; a
        warning in the log says so.

        Raises InvalidArgumentError for a path or a size that the format cannot have, and OSError
        where the system refuses. Nothing else is written then: the video can be saved elsewhere.
        """
        sound = None if self.audio is None else Sound(self.audio, self.sample_rate)
        media.save(path, self.frames, self.fps, self.metadata, sound)
