"""What a video is made by that exists already: reference videos, a part of itself, its sound."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import clips, sound
from ._native import assign, c_array, c_text, ffi
from .errors import InvalidArgumentError
from .keywords import is_whole
from .pictures import Pixels
from .sound import Sound
from .video import Video

VideoLike: TypeAlias = str | os.PathLike[str] | NDArray[np.uint8] | Video
SoundLike: TypeAlias = str | os.PathLike[str] | NDArray[np.float32] | Video


@dataclass(frozen=True, eq=False)
class Reference:
    """A video that another is made by, as an IC-LoRA has learnt: by depth, pose, edges, ..."""

    video: VideoLike
    """A file, which is taken at the video's rate, an array [frames, height, width, 3] of uint8, or
    a `Video`. It is scaled to cover and cut to its middle."""
    strength: float = 1.0
    """Above 0, up to 1."""
    attention: float = 1.0
    """How strongly both look at each other, above 0, up to 1."""
    downscale: int | None = None
    """How many times smaller than the video it is; default: what the LoRA's file states, else 1."""
    temporal: int | None = None
    """Of how many frames it has one; default: as `downscale`."""


@dataclass(eq=False)
class Clip:
    """Frames that were read."""

    pixels: Pixels
    name: str  # of its file, if it came from one

    @cached_property
    def sha256(self) -> str:
        shape = "x".join(map(str, self.pixels.shape))
        digest = hashlib.sha256(f"{shape} ".encode())
        digest.update(self.pixels.data)
        return digest.hexdigest()

    def about(self) -> dict[str, Any]:
        return {"name": self.name, "sha256": self.sha256}


def clip_of(
    video: VideoLike, fps: float | None, most: int | None = None
) -> tuple[Clip, float | None]:
    """No more than `most` frames; a file or a `Video` is taken at this rate, or its own; and the
    rate, where it is known."""
    clips.check_rate(fps)
    if isinstance(video, Video):
        own = video.fps
        frames = clips.checked(np.asarray(video.frames), "video")
        return Clip(clips.at_rate(frames, own, fps or own, most), ""), fps or own
    if isinstance(video, np.ndarray):
        return Clip(clips.checked(video, "video")[:most], ""), fps
    frames, rate = clips.frames(video, fps, most)
    return Clip(frames, Path(video).name), rate


def sound_of(given: SoundLike, rate: int | None, seconds: float = math.inf) -> Sound:
    """Of a file, as far as so many seconds, of a video or of samples; InvalidArgumentError where
    there is none."""
    if isinstance(given, Video):
        if given.audio is None:
            raise InvalidArgumentError("sound: the video has none")
        return sound_of(given.audio, given.sample_rate)
    if not isinstance(given, np.ndarray):
        return sound.read(given, seconds)
    if given.ndim not in (1, 2) or not given.size or not np.issubdtype(given.dtype, np.floating):
        shape = "x".join(map(str, given.shape))
        raise InvalidArgumentError(
            f"sound: {given.dtype} of {shape} is not [samples, channels] of float32"
        )
    if rate is None or not is_whole(rate) or not 0 < rate < 1 << 31:
        raise InvalidArgumentError(
            f"sample_rate: {rate!r} is no number of samples a second; an array needs one"
        )
    samples = np.ascontiguousarray(given, np.float32)
    return Sound(samples[:, None] if samples.ndim == 1 else samples, int(rate))


@dataclass(eq=False)
class Given:
    """Fields of ltx2_video_params."""

    keyframes: bool = False
    references: list[tuple[Reference, Clip]] = field(default_factory=list)
    source: Clip | None = None
    sound: Sound | None = None
    begin: int = 0
    retake: tuple[float, float] | None = None
    what: str | None = None
    splice: bool = False  # what was not made anew comes back as it was

    @cached_property
    def _sound_sha256(self) -> str:
        assert self.sound
        return hashlib.sha256(self.sound.samples.data).hexdigest()

    def about(self) -> dict[str, Any]:
        """As metadata: of pixels and samples, what tells them from others."""
        about: dict[str, Any] = {}
        if self.keyframes:
            about["keyframes"] = True
        if self.references:
            about["references"] = [
                {**clip.about(), **_factors(reference)} for reference, clip in self.references
            ]
        if self.source:
            about["source"] = self.source.about()
        if self.sound:
            about["sound"] = {"sample_rate": self.sound.rate, "sha256": self._sound_sha256}
        if self.begin:
            about["begin"] = self.begin
        if self.retake:
            start, end = self.retake
            about["retake"] = {"start": start, "end": end, "what": self.what}
        if self.splice:
            about["splice"] = True
        return about

    def put(self, params: Any, kept: Callable[[Any], Any]) -> None:
        """Into the C struct; `kept` holds what it points at."""
        params.keyframes = self.keyframes
        rows = [{"clip": _c_clip(clip, kept)} for _, clip in self.references]
        params.references = c_references = kept(c_array("ltx2_reference[]", rows))
        params.reference_count = len(rows)
        for i, (reference, _) in enumerate(self.references):
            for name, value in _factors(reference).items():
                assign(c_references[i], name, 0 if value is None else value)
        if self.source:
            params.source = kept(ffi.new("ltx2_clip *", _c_clip(self.source, kept)))
        if self.sound:
            samples = kept(ffi.from_buffer("float[]", self.sound.samples))
            count, channels = self.sound.samples.shape
            params.sound = kept(
                ffi.new("ltx2_sound *", (samples, count, channels, self.sound.rate))
            )
        assign(params, "begin", self.begin)
        if self.retake:
            for name, value in zip(("retake_start", "retake_end"), self.retake, strict=True):
                assign(params, name, value)
        if self.what:
            params.retake_what = kept(c_text("what", self.what))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By the names that a job file has for them."""
        arrays: dict[str, NDArray[Any]] = {
            f"reference{i}": clip.pixels for i, (_, clip) in enumerate(self.references)
        }
        if self.source:
            arrays["source"] = self.source.pixels
        if self.sound:
            arrays["sound"] = self.sound.samples
        return arrays

    @staticmethod
    def of(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Given:
        """What `about` and `arrays` gave. Raises KeyError, TypeError, ValueError, OverflowError."""
        given = Given(keyframes=bool(about.get("keyframes")), splice=bool(about.get("splice")))
        given.begin = int(about.get("begin", 0))
        for i, row in enumerate(about.get("references", [])):
            pixels = clips.checked(arrays[f"reference{i}"], f"reference{i}")
            shares = [float(row[name]) for name in _FACTORS[:2]]
            factors = [None if row[name] is None else int(row[name]) for name in _FACTORS[2:]]
            reference = Reference(pixels, shares[0], shares[1], factors[0], factors[1])
            given.references.append((reference, Clip(pixels, str(row["name"]))))
        if "source" in about:
            source = clips.checked(arrays["source"], "source")
            given.source = Clip(source, str(about["source"]["name"]))
        if "sound" in about:
            given.sound = sound_of(arrays["sound"], about["sound"]["sample_rate"])
        if "retake" in about:
            retake = about["retake"]
            given.retake = float(retake["start"]), float(retake["end"])
            given.what = None if retake["what"] is None else str(retake["what"])
        return given


_FACTORS = ("strength", "attention", "downscale", "temporal")


def _factors(reference: Reference) -> dict[str, Any]:
    return {name: getattr(reference, name) for name in _FACTORS}


def _c_clip(clip: Clip, kept: Callable[[Any], Any]) -> dict[str, Any]:
    frames, height, width, _ = clip.pixels.shape
    pixels = kept(ffi.from_buffer("uint8_t[]", clip.pixels))
    return {"pixels": pixels, "frames": frames, "height": height, "width": width}


def references_of(
    given: VideoLike | Reference | Sequence[VideoLike | Reference], fps: float, most: int
) -> list[tuple[Reference, Clip]]:
    """Those of a call, read as far as a video of so many frames looks at them."""
    several: Any = given if isinstance(given, (list, tuple)) else [given]
    rows = [one if isinstance(one, Reference) else Reference(one) for one in several]
    if not rows:
        raise InvalidArgumentError("references: none is given")
    for row in rows:
        for name in ("strength", "attention"):
            if not 0 < getattr(row, name) <= 1:
                raise InvalidArgumentError(
                    f"references: {name} {getattr(row, name)} is not above 0 and at most 1"
                )
    return [(row, clip_of(row.video, fps, most)[0]) for row in rows]
