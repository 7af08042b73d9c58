"""A call that makes a video: what C calls back meanwhile, and what it has made."""

from __future__ import annotations

import math
import operator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ._calls import Call
from ._native import ffi, keep, raise_kept, string
from .profile import Profile
from .video import Clock, Progress, Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .model_files import StrPath
    from .opened import Opened


class VideoCall(Call):
    """What C calls back, and what it reads."""

    def __init__(
        self,
        session: Opened,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        profile: StrPath | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.clock = Clock()
        self.progress = progress
        self.latents = latents
        self.expect = expect
        self.profile = Profile(profile) if profile is not None else None
        self.text: Callable[[str], object] | None = None
        # Told after each step: how many are done, the state, what the latents are predicted to be.
        self.stepped: list[Callable[[int, NDArray[np.float32], NDArray[np.float32]], object]] = []
        self.inputs: list[Any] = []  # what C reads, so that it lives as long

    def abandon(self) -> None:
        self.session.abandon(self)

    def ended(self) -> None:
        if self.profile:
            self.profile.save()

    def on_progress(self, progress: Any, _user_data: Any) -> bool:
        raise_kept()  # by the log function
        if self.progress and not self.cancelled:
            self.progress(self.clock.at(string(progress.stage), progress.done, progress.total))
        return not self.cancelled

    def on_latents(self, latents: Any, _user_data: Any) -> bool:
        if self.latents and not self.cancelled:
            self.latents(latents_view(ffi.NULL, latents).copy())
        return not self.cancelled

    def on_text(self, text: Any, _user_data: Any) -> bool:
        if self.text and not self.cancelled:
            self.text(string(text))
        return not self.cancelled

    def on_span(self, span: Any, _user_data: Any) -> bool:
        if self.profile and not self.cancelled:
            self.profile.add(string(span.kind), string(span.name), span.begin, span.seconds)
        return not self.cancelled

    def on_state(self, state: Any, _user_data: Any) -> bool:
        values = view(ffi.NULL, state.values, np.float32, (state.count,))
        for told in self.stepped:
            if not self.cancelled:
                told(state.step, values.copy(), latents_view(ffi.NULL, state.predicted).copy())
        return not self.cancelled


def callback(kind: str, function: Callable[[Any, Any], bool]) -> Any:
    """For C, as long as it is referred to; what `function` raises stops the call."""
    return ffi.callback(kind, function, error=False, onerror=keep)


def view(owner: Any, data: Any, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """A read-only array over memory that `owner` frees.

    A buffer keeps only the pointer it was made from alive, so the pointer keeps the owner: by a
    destructor without a line of Python, in which an interrupt would be lost.
    """
    pointer = ffi.gc(data, partial(operator.is_, owner))
    size = math.prod(shape) * np.dtype(dtype).itemsize
    array: NDArray[Any] = np.frombuffer(ffi.buffer(pointer, size), dtype).reshape(shape)
    array.flags.writeable = False
    return array


def latents_view(owner: Any, latents: Any) -> NDArray[np.float32]:
    shape = (latents.channels, latents.frames, latents.height, latents.width)
    return view(owner, latents.values, np.float32, shape)


def video_of(owner: Any, metadata: dict[str, Any]) -> Video:
    frames = view(owner, owner.pixels, np.uint8, (owner.frames, owner.height, owner.width, 3))
    latents = latents_view(owner, owner.latents)
    size = {"width": owner.width, "height": owner.height, "frames": owner.frames, "fps": owner.fps}
    if metadata.get("temporal_upscalings"):  # `frames` and `fps` are then those asked for
        size |= {"made_frames": owner.frames, "made_fps": owner.fps}
    audio = None
    if owner.audio:
        audio = view(owner, owner.audio, np.float32, (owner.audio_samples, 2))
    return Video(frames, owner.fps, latents, {**size, **metadata}, audio, owner.sample_rate)
