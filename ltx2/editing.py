"""What a session makes of videos and sounds that are there: v2v, a2v, retake, extend, upscale."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import clips
from . import sound as sounds
from ._video_call import VideoCall
from .errors import InvalidArgumentError
from .given import Clip, clip_of, references_of, sound_of
from .request import Request
from .video import Video

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from .given import Reference, SoundLike, VideoLike
    from .model_files import StrPath
    from .pictures import Pixels
    from .request import Conditions, Features, Options
    from .sound import Sound
    from .video import Progress

_log = logging.getLogger("ltx2")
_SOFT = clips.GROUP  # frames over which what was kept and what was made pass into each other


class Editing:
    """Part of Session."""

    if TYPE_CHECKING:

        def _generate(
            self,
            request: Request,
            call: VideoCall,
            show: Callable[[NDArray[np.uint8]], object] | None,
            job: Any,
        ) -> Video: ...
        def _fill_in(self, request: Request, call: VideoCall) -> dict[str, Any]: ...
        def _decode(
            self, latents: Any, fps: float | None, upscale: bool, call: VideoCall
        ) -> Video: ...
        def _latents_of(self, frames: Any, call: VideoCall) -> NDArray[np.float32]: ...
        def _new_job(self, request: Request, job: Any) -> Any: ...

    def v2v(
        self,
        prompt: str | Features,
        references: VideoLike | Reference | Sequence[VideoLike | Reference],
        *,
        images: Mapping[int, Conditions] | None = None,
        crf: int = 33,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
        **options: Unpack[Options],
    ) -> Video:
        """A video from text and reference videos, as an IC-LoRA of the session has learnt to.

        A reference is a file, an array of frames, a `Video`, or a `Reference` with more to say. The
        first stage alone reads them, and adapters count in that stage alone. `images` as in `i2v`;
        `frames` defaults to those of the first reference. All else as in `t2v`.
        """
        with VideoCall(self, progress, latents) as call:  # type: ignore[arg-type]
            request = Request.of(prompt, options)
            self._fill_in(request, call)
            read = references_of(references, request.options["fps"])
            if options.get("frames") is None:
                request.options["frames"] = _whole(len(read[0][1].pixels))
            request.add_images(images or {}, crf)
            request.given.references = read
            return self._generate(request, call, preview, self._new_job(request, job))

    def a2v(
        self,
        prompt: str | Features,
        sound: SoundLike,
        *,
        sample_rate: int | None = None,
        images: Mapping[int, Conditions] | None = None,
        crf: int = 33,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
        **options: Unpack[Options],
    ) -> Video:
        """A video to a sound, which it keeps as it is.

        `sound` is a file or an array [samples, channels] of float32 in -1..1 with `sample_rate`
        samples a second. `frames` defaults to as many as the sound lasts, up to the model's own.
        Of a sound that ends before the video the rest is made. `images` as in `i2v`, all else as in
        `t2v`.
        """
        with VideoCall(self, progress, latents) as call:  # type: ignore[arg-type]
            request = Request.of(prompt, options)
            self._fill_in(request, call)
            request.given.sound = given = sound_of(sound, sample_rate)
            request.options["audio"] = options.get("audio", True)  # a model that makes none says so
            if options.get("frames") is None:
                lasts = len(given.samples) / given.rate * request.options["fps"]
                request.options["frames"] = min(_whole(int(lasts)), request.options["frames"])
            request.add_images(images or {}, crf)
            return self._generate(request, call, preview, self._new_job(request, job))

    def retake(
        self,
        prompt: str | Features,
        video: VideoLike,
        start: float,
        end: float,
        *,
        sound: SoundLike | None = None,
        sample_rate: int | None = None,
        what: str = "both",
        splice: bool = True,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
        **options: Unpack[Options],
    ) -> Video:
        """A video in which the seconds from `start` to `end` are made anew.

        `video` is a file, an array of frames or a `Video`; its sound is kept outside those seconds
        too, and may be given as in `a2v`. `what` is "both", "video" or "audio". Width, height,
        frames and fps are the video's, cut to what the model can make. The edges fall on groups of
        8 frames. Outside of them and 8 frames more the frames are the given ones, to the bit,
        unless `splice` is false: then all of them have been through the VAE. All else as in `t2v`.
        """
        if what not in ("both", "video", "audio"):
            raise InvalidArgumentError(f"what: {what!r} is not both, video or audio")
        with VideoCall(self, progress, latents) as call:  # type: ignore[arg-type]
            clip, heard, known = _source(video, sound, sample_rate, options)
            request = Request.of(prompt, {**known, **options})
            request.given.source, request.given.sound = clip, self._heard(request, heard, call)
            request.given.remake = (start, end)
            request.given.what = None if what == "both" else what
            made = self._generate(request, call, preview, self._new_job(request, job))
        if not splice:
            return made
        span = (start * made.fps, end * made.fps) if what != "audio" else (np.inf, -np.inf)
        return _spliced(made, clip.pixels, span, 0)

    def extend(
        self,
        prompt: str | Features,
        video: VideoLike,
        more: int,
        *,
        before: bool = False,
        context: int = 49,
        sound: SoundLike | None = None,
        sample_rate: int | None = None,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        **options: Unpack[Options],
    ) -> Video:
        """A longer video: `more` frames, a multiple of 8, after the given ones or `before` them.

        `context` frames, 8k + 1 and 17 at least, are what the new ones go on from; a video that has
        more than the model makes at once grows piece by piece, in the memory of one, where
        `frames` says how long a piece is, the context included. Width, height and fps are the
        video's. The given frames stay as they are, but for 8 at the seam; so does their sound.
        All else as in `t2v`.
        """
        least = 2 * clips.GROUP + 1
        if context < least or context % clips.GROUP != 1:
            raise InvalidArgumentError(f"context: {context} is not 8k + 1 of at least {least}")
        if more < 1 or more % clips.GROUP:
            raise InvalidArgumentError(f"more: {more} is not a multiple of 8")
        with VideoCall(self, progress, latents) as call:  # type: ignore[arg-type]
            clip, heard, known = _source(video, sound, sample_rate, options)
            request = Request.of(prompt, {**known, "frames": None, **options})
            heard = self._heard(request, heard, call)
            whole = Video(clip.pixels, request.options["fps"])
            if heard is not None:
                whole = replace(whole, audio=heard.samples, sample_rate=heard.rate)
            while more > 0:
                whole, added = self._extended(request, whole, more, before, context, call)
                more -= added
                request.options["seed"] += 1  # else pieces would move alike
            return whole

    def _heard(self, request: Request, sound: Sound | None, call: VideoCall) -> Sound | None:
        """The sound that goes with a video that is there; fills in the request too."""
        self._fill_in(request, call)
        if sound is None or request.options["audio"]:
            return sound
        _log.warning("the video's sound is left out, as the new one has none")
        return None

    def _extended(
        self, request: Request, whole: Video, more: int, before: bool, context: int, call: VideoCall
    ) -> tuple[Video, int]:
        """By one piece, and by how many frames that is."""
        kept = min(context, _whole(len(whole.frames)))
        added = min(more, (request.options["frames"] - kept) // clips.GROUP * clips.GROUP)
        if added < clips.GROUP:
            raise InvalidArgumentError(
                f"frames: {request.options['frames']} leave no room after a context of {kept}"
            )
        rest = len(whole.frames) - kept
        piece = whole.frames[:kept] if before else whole.frames[rest:]
        options = {**request.options, "frames": kept + added}
        one = Request(request.prompt, options, features=request.features)
        one.given.source = Clip(np.ascontiguousarray(piece), "")
        one.given.begin = added if before else 0
        if whole.audio is not None:
            at = 0 if before else round(rest / whole.fps * whole.sample_rate)
            end = at + round(kept / whole.fps * whole.sample_rate)
            part = np.ascontiguousarray(whole.audio[at:end], np.float32)
            one.given.sound = sounds.Sound(part, whole.sample_rate)
        made = self._generate(one, call, None, None)
        span = (-np.inf, added + 1) if before else (kept, np.inf)
        made = _spliced(made, piece, span, one.given.begin)
        return _joined(whole, made, rest, before), added

    def upscale(
        self,
        video: StrPath | NDArray[Any],
        *,
        fps: float | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Video:
        """A larger video, by the model's latent upsampler, which is one of its files.

        `video` is a file, an array of frames (uint8), or latents that were kept (float32), which
        lose nothing on the way. Width and height are cut to multiples of 32, frames to 8k + 1. A
        file is taken at `fps`; default: its own rate, of arrays the model's. Errors as in `t2v`.
        """
        with VideoCall(self, progress) as call:  # type: ignore[arg-type]
            given: Any = video
            if not isinstance(given, np.ndarray):
                given, fps = clips.read(given, fps)
            if given.dtype == np.uint8:
                given = self._latents_of(clips.whole(given, "video"), call)
            return self._decode(given, fps, True, call)


def _whole(frames: int) -> int:
    """8k + 1, as many as there are of them; 1 at least."""
    return max(0, frames - 1) // clips.GROUP * clips.GROUP + 1


def _source(
    video: VideoLike,
    sound: SoundLike | None,
    sample_rate: int | None,
    options: Mapping[str, Any],
) -> tuple[Clip, Sound | None, dict[str, Any]]:
    """The frames that are there, cut to what the model can make, their sound, and the options that
    follow from them."""
    fps, heard = options.get("fps"), None
    if isinstance(video, Video):
        clip, fps = clip_of(video, 0), fps or video.fps
        heard = None if video.audio is None else sounds.Sound(video.audio, video.sample_rate)
    elif isinstance(video, np.ndarray):
        clip = clip_of(video, 0)
    else:
        frames, fps = clips.frames(video, fps)
        clip = Clip(frames, "")
        heard = sounds.find(video)
    if sound is not None:
        heard = sound_of(sound, sample_rate)
    if options.get("audio") is False:
        heard = None
    pixels = clips.whole(clip.pixels, clip.name or "video")
    count, height, width, _ = pixels.shape
    known: dict[str, Any] = {"width": width, "height": height, "frames": count}
    if fps:
        known["fps"] = fps
    return Clip(pixels, clip.name), heard, known


def _spliced(made: Video, given: Pixels, span: tuple[float, float], begin: int) -> Video:
    """The given frames in place of those that were made, far from the span that is new: they lie
    from frame `begin` on, and pass into the made ones over 8 frames."""
    if given.shape[1:] != made.frames.shape[1:]:
        return made
    frames = made.frames.copy()
    for i in range(min(len(given), len(frames) - begin)):
        at = begin + i
        # A frame of a group that is partly new is new.
        first = span[0] if np.isinf(span[0]) else (span[0] - 1) // clips.GROUP * clips.GROUP + 1
        last = span[1] if np.isinf(span[1]) else -(-(span[1] - 1) // clips.GROUP) * clips.GROUP
        far = max(first - at - 1, at - last, 0)
        share = min(1.0, far / _SOFT)
        mixed = (1 - share) * frames[at] + share * given[i].astype(np.float32)
        frames[at] = given[i] if share == 1 else np.rint(mixed).astype(np.uint8)
    frames.flags.writeable = False
    return replace(made, frames=frames)


def _joined(whole: Video, piece: Video, rest: int, before: bool) -> Video:
    """A piece in place of the end of a video that it goes on from, or of its beginning."""
    kept = len(whole.frames) - rest  # of the video, that the piece has too
    parts = [piece.frames, whole.frames[kept:]] if before else [whole.frames[:rest], piece.frames]
    audio, rate = piece.audio, piece.sample_rate
    if audio is not None and rest:
        old = np.zeros((0, 2), np.float32)
        if whole.audio is not None:
            old = sounds.resampled(sounds.Sound(whole.audio, whole.sample_rate), rate).samples
        old = sounds.lasting(old, round(len(whole.frames) / whole.fps * rate))
        cut = round((kept if before else rest) / whole.fps * rate)
        audio = sounds.lasting(audio, round(len(piece.frames) / piece.fps * rate))
        audio = sounds.joined(audio, old[cut:]) if before else sounds.joined(old[:cut], audio)
    metadata = {**piece.metadata, "frames": len(whole.frames) - kept + len(piece.frames)}
    return Video(np.concatenate(parts), piece.fps, None, metadata, audio, rate)
