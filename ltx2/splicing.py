"""What was kept of a video, back in its place: encoding and decoding has changed it a little."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from . import clips, sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .given import Given
    from .sound import Sound
    from .video import Video

_SOFT = clips.GROUP  # frames over which what was kept and what was made pass into each other
_LATENT, _FADE = 0.04, 0.02  # seconds that a latent of the sound stands for; of passing over


def spliced(made: Video, given: Given) -> Video:
    """With the frames and the sound that it was given, where none was made anew nearby."""
    if not given.splice:
        return made
    if given.source and given.source.pixels.shape[1:] == made.frames.shape[1:]:
        made = replace(made, frames=_frames(made, given))
    if given.sound and made.audio is not None:
        made = replace(made, audio=_audio(made, given, given.sound))
    return made


def _frames(made: Video, given: Given) -> NDArray[np.uint8]:
    assert given.source
    source = given.source.pixels[: len(made.frames) - given.begin]
    index = np.arange(len(made.frames))
    group = -(-index // clips.GROUP)  # of frames that a latent stands for
    new = (index >= given.begin + len(source)) | (group <= given.begin // clips.GROUP)
    if not given.begin:
        new = index >= len(source)
    if given.retake and given.what != "audio":
        start, end = given.retake
        first = np.maximum(0, clips.GROUP * (group - 1) + 1) / made.fps
        new |= ((clips.GROUP * group + 1) / made.fps > start) & (first < end)
    frames: NDArray[np.uint8] = made.frames.copy()
    changed = np.flatnonzero(new)
    for i in np.flatnonzero(~new):
        far = np.abs(changed - i).min() if len(changed) else _SOFT
        old = source[i - given.begin]
        if far >= _SOFT:
            frames[i] = old
        else:
            mixed = frames[i] + (old.astype(np.float32) - frames[i]) * (far / _SOFT)
            frames[i] = np.rint(mixed)
    frames.flags.writeable = False
    return frames


def _audio(made: Video, given: Given, heard: Sound) -> NDArray[np.float32]:
    assert made.audio is not None
    rate = made.sample_rate
    begin = given.begin / made.fps
    if given.source:
        end = begin + len(given.source.pixels) / made.fps
    else:
        end = begin + len(heard.samples) / heard.rate
    regions = [(-np.inf, begin)] if begin else []
    if end < len(made.frames) / made.fps - _LATENT:
        regions.append((end, np.inf))
    if given.retake and given.what != "video":
        regions.append(given.retake)
    if not regions:
        return made.audio  # which is the given one
    # What the model makes may be some ms shorter than the video; what was given is not.
    count = max(len(made.audio), round(len(made.frames) / made.fps * rate))
    seconds = np.arange(count) / rate
    far = np.min([np.maximum(a - seconds, seconds - b) for a, b in regions], 0)
    share = np.clip((far - _LATENT) / _FADE, 0, 1).astype(np.float32)[:, None]
    offset = round(begin * rate)
    old = sound.lasting(sound.resampled(heard, rate).samples, max(0, len(seconds) - offset))
    old = np.concatenate([np.zeros((offset, 2), np.float32), old])[: len(seconds)]
    new = sound.lasting(made.audio, count)
    audio: NDArray[np.float32] = new * (1 - share) + old * share
    if not share[-1]:
        audio = audio[: len(made.audio)]
    audio.flags.writeable = False
    return audio
