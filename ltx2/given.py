"""What a video is made by that is there already: reference videos, a part of itself, its sound."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import clips, sound
from ._native import c_array, ffi
from .errors import InvalidArgumentError
from .sound import Sound
from .video import Video

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from .pictures import Pixels

VideoLike: TypeAlias = "str | os.PathLike[str] | NDArray[np.uint8] | Video"
SoundLike: TypeAlias = "str | os.PathLike[str] | NDArray[np.float32]"


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


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames that were read."""

    pixels: Pixels
    name: str  # of its file, if it came from one

    def about(self) -> dict[str, Any]:
        shape = "x".join(map(str, self.pixels.shape))
        digest = hashlib.sha256(f"{shape} ".encode() + self.pixels.tobytes()).hexdigest()
        return {"name": self.name, "sha256": digest}


def clip_of(video: VideoLike, fps: float) -> Clip:
    """At this rate, where it is a file."""
    if isinstance(video, Video):
        return Clip(np.ascontiguousarray(video.frames), "")
    if isinstance(video, np.ndarray):
        return Clip(clips.checked(video, "video"), "")
    return Clip(clips.frames(video, fps)[0], Path(video).name)


def sound_of(given: SoundLike, rate: int | None) -> Sound:
    """Of a file, or of samples at a rate. Raises InvalidArgumentError."""
    if not isinstance(given, np.ndarray):
        return sound.read(given)
    samples = np.ascontiguousarray(given, np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or not samples.size or not np.issubdtype(given.dtype, np.floating):
        shape = "x".join(map(str, given.shape))
        raise InvalidArgumentError(f"sound: {given.dtype} of {shape} is not [samples, channels]")
    if not rate or rate < 1:
        raise InvalidArgumentError("sample_rate: of an array of samples it must be said")
    return Sound(samples, rate)


@dataclass(eq=False)
class Given:
    """Fields of ltx2_video_params."""

    keyframes: bool = False
    references: list[tuple[Reference, Clip]] = field(default_factory=list)
    source: Clip | None = None
    sound: Sound | None = None
    begin: int = 0
    remake: tuple[float, float] | None = None
    what: str | None = None

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
            digest = hashlib.sha256(self.sound.samples.tobytes()).hexdigest()
            about["sound"] = {"sample_rate": self.sound.rate, "sha256": digest}
        if self.begin:
            about["begin"] = self.begin
        if self.remake:
            about["remake"] = {"from": self.remake[0], "to": self.remake[1], "what": self.what}
        return about

    def put(self, params: Any, kept: Callable[[Any], Any]) -> None:
        """Into the C struct; `kept` holds what it points at."""
        params.keyframes = self.keyframes
        c_references = [
            {"clip": _c_clip(clip, kept), **{k: v or 0 for k, v in _factors(reference).items()}}
            for reference, clip in self.references
        ]
        params.references = kept(c_array("ltx2_reference[]", c_references))
        params.reference_count = len(c_references)
        if self.source:
            params.source = kept(ffi.new("ltx2_clip *", _c_clip(self.source, kept)))
        if self.sound:
            samples = kept(ffi.from_buffer("float[]", self.sound.samples))
            count, channels = self.sound.samples.shape
            params.sound = kept(
                ffi.new("ltx2_sound *", (samples, count, channels, self.sound.rate))
            )
        params.begin = self.begin
        if self.remake:
            params.remake_from, params.remake_to = self.remake
        if self.what:
            params.remake = kept(ffi.new("char[]", self.what.encode()))

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
        """What `about` and `arrays` gave. Raises KeyError, TypeError, ValueError."""
        given = Given(keyframes=bool(about.get("keyframes")), begin=int(about.get("begin", 0)))
        for i, row in enumerate(about.get("references", [])):
            pixels = arrays[f"reference{i}"]
            factors = {name: row[name] for name in _FACTORS}
            clip = Clip(clips.checked(pixels, f"reference{i}"), str(row["name"]))
            given.references.append((Reference(pixels, **factors), clip))
        if "source" in about:
            source = clips.checked(arrays["source"], "source")
            given.source = Clip(source, str(about["source"]["name"]))
        if "sound" in about:
            given.sound = sound_of(arrays["sound"], int(about["sound"]["sample_rate"]))
        if "remake" in about:
            remake = about["remake"]
            given.remake = float(remake["from"]), float(remake["to"])
            given.what = None if remake["what"] is None else str(remake["what"])
        return given


_FACTORS = ("strength", "attention", "downscale", "temporal")


def _factors(reference: Reference) -> dict[str, Any]:
    return {name: getattr(reference, name) for name in _FACTORS}


def _c_clip(clip: Clip, kept: Callable[[Any], Any]) -> dict[str, Any]:
    frames, height, width, _ = clip.pixels.shape
    pixels = kept(ffi.from_buffer("uint8_t[]", clip.pixels))
    return {"pixels": pixels, "frames": frames, "height": height, "width": width}


def references_of(
    given: VideoLike | Reference | Sequence[VideoLike | Reference], fps: float
) -> list[tuple[Reference, Clip]]:
    """Those of a call, read."""
    several: Any = given if isinstance(given, (list, tuple)) else [given]
    rows = [one if isinstance(one, Reference) else Reference(one) for one in several]
    if not rows:
        raise InvalidArgumentError("references: none is given")
    for row in rows:
        if not (0 < row.strength <= 1 and 0 < row.attention <= 1):
            raise InvalidArgumentError(
                f"references: strength {row.strength:g} or attention {row.attention:g} is not "
                "above 0 and at most 1"
            )
    return [(row, clip_of(row.video, fps)) for row in rows]
