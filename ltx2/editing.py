"""What a session makes of videos and sounds that exist: v2v, a2v, retake, extend, upscale."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import clips
from . import sound as sounds
from ._video_call import VideoCall
from .enhancing import Enhancing
from .errors import InvalidArgumentError
from .given import Clip, Given, Reference, SoundLike, VideoLike, clip_of, references_of, sound_of
from .keywords import checked, chosen, is_whole
from .model_files import StrPath
from .opened import Opened
from .request import Conditions, Features, Making, Request, making, placed
from .sound import Sound
from .video import Progress, Video

_log = logging.getLogger("ltx2")
_LEAST_CONTEXT = 2 * clips.GROUP + 1
_CONTEXT = 49
_KEPT_APART = 0.1  # seconds from what is new at which given sound is as it was
_SHORTER = 0.05 + 1e-6  # seconds that a sound the model made may be shorter than its video


class Editing(Opened):
    """Part of Session."""

    @making
    def v2v(
        self,
        prompt: str | Features,
        references: VideoLike | Reference | Sequence[VideoLike | Reference],
        *,
        images: Conditions | Mapping[int, Conditions] | None = None,
        crf: int | None = None,
        negative_prompt: str | None = None, width: int | None = None, height: int | None = None,
        frames: int | None = None, fps: float | None = None, schedule: str | None = None,
        sampler: str | None = None, recipe: str | None = None, refine_sigmas: str | None = None,
        generated_keyframes: int | Sequence[int] | str | None = None,
        temporal_upscalings: int | None = None, audio: bool | None = None,
        audio_guidance: float | None = None, modality_guidance: float | None = None,
        steps: int | None = None, guidance: float | None = None, stg: float | None = None,
        rescale: float | None = None, seed: int | None = None,
        noise: NDArray[np.float32] | None = None, enhance: bool | Enhancing | None = None,
        progress: Callable[[Progress], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        profile: StrPath | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
    ) -> Video:  # fmt: skip
        """A video from text and reference videos, as an IC-LoRA of the session has learnt to.

        A reference is a file, an array of frames, a `Video`, or a `Reference` with more to say. The
        first stage alone reads them, and adapters count in that stage alone. `images` as in `i2v`;
        `frames` defaults to those of the first reference, up to the model's own. All else as in
        `t2v`.
        """
        options = chosen(locals(), Making)
        with VideoCall(self, progress, latents, expect, profile) as call:
            request = Request.of(prompt, options)
            usual = self._usual(request, call)
            most = _most_frames(options, usual)
            request.given.references = read = references_of(references, usual["fps"], most)
            if options.get("frames") is None:
                request.options["frames"] = min(
                    clips.whole_count(len(read[0][1].pixels)), usual["frames"]
                )
            self._add_images(request, placed(images), crf, call)
            return self._generate(request, call, preview, self._new_job(request, job))

    @making
    def a2v(
        self,
        prompt: str | Features,
        sound: SoundLike,
        *,
        sample_rate: int | None = None,
        images: Conditions | Mapping[int, Conditions] | None = None,
        crf: int | None = None,
        negative_prompt: str | None = None, width: int | None = None, height: int | None = None,
        frames: int | None = None, fps: float | None = None, schedule: str | None = None,
        sampler: str | None = None, recipe: str | None = None, refine_sigmas: str | None = None,
        generated_keyframes: int | Sequence[int] | str | None = None,
        temporal_upscalings: int | None = None, audio: bool | None = None,
        audio_guidance: float | None = None, modality_guidance: float | None = None,
        steps: int | None = None, guidance: float | None = None, stg: float | None = None,
        rescale: float | None = None, seed: int | None = None,
        noise: NDArray[np.float32] | None = None, enhance: bool | Enhancing | None = None,
        progress: Callable[[Progress], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        profile: StrPath | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
    ) -> Video:  # fmt: skip
        """A video to a sound, which it keeps as it is.

        `sound` is a file, a `Video` that has one, or an array [samples, channels] of float32 in
        -1..1 with `sample_rate` samples a second. `frames` defaults to as many as the sound lasts,
        or 50 ms more, up to the model's own.
        Of a sound that ends before the video the rest is made. `images` as in `i2v`, all else as in
        `t2v`.
        """
        options = chosen(locals(), Making)
        with VideoCall(self, progress, latents, expect, profile) as call:
            request = Request.of(prompt, options)
            usual = self._usual(request, call)
            seconds = _most_frames(options, usual) / usual["fps"]
            request.given = Given(sound=sound_of(sound, sample_rate, seconds), splice=True)
            heard = request.given.sound
            request.options["audio"] = options.get("audio", True)  # a model that makes none says so
            if heard and options.get("frames") is None:
                lasts = (len(heard.samples) / heard.rate + _SHORTER) * usual["fps"]
                request.options["frames"] = min(clips.whole_count(int(lasts)), usual["frames"])
            self._add_images(request, placed(images), crf, call)
            return self._generate(request, call, preview, self._new_job(request, job))

    @making
    def retake(
        self,
        prompt: str | Features,
        video: VideoLike,
        start: float,
        end: float,
        *,
        sound: SoundLike | None = None,
        sample_rate: int | None = None,
        what: str | None = "both",
        splice: bool | None = True,
        negative_prompt: str | None = None, width: int | None = None, height: int | None = None,
        frames: int | None = None, fps: float | None = None, schedule: str | None = None,
        sampler: str | None = None, recipe: str | None = None, refine_sigmas: str | None = None,
        generated_keyframes: int | Sequence[int] | str | None = None,
        temporal_upscalings: int | None = None, audio: bool | None = None,
        audio_guidance: float | None = None, modality_guidance: float | None = None,
        steps: int | None = None, guidance: float | None = None, stg: float | None = None,
        rescale: float | None = None, seed: int | None = None,
        noise: NDArray[np.float32] | None = None, enhance: bool | Enhancing | None = None,
        progress: Callable[[Progress], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        profile: StrPath | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
    ) -> Video:  # fmt: skip
        """A video in which the seconds from `start` to `end` are made anew.

        `video` is a file, an array of frames or a `Video`; its sound is kept outside those seconds
        too, and may be given as in `a2v`. `what` is "both", "video" or "audio". Width, height,
        frames and fps are the video's, cut to what the model can make. The edges fall on groups of
        8 frames and on 40 ms of sound. Beyond them and 8 frames, or 20 ms, more, all is as given to
        the bit unless `splice` is false: then all has been encoded and decoded. All else as in
        `t2v`.
        """
        what = what or "both"
        if what not in ("both", "video", "audio"):
            raise InvalidArgumentError(f"what: {what!r} is not both, video or audio")
        if what == "audio" and audio is False:
            raise InvalidArgumentError("what: is audio, and audio is off")
        if not 0 <= start < end < math.inf:
            raise InvalidArgumentError(f"start, end: {start}..{end} are no seconds of a video")
        options = chosen(locals(), Making)
        with VideoCall(self, progress, latents, expect, profile) as call:
            clip, heard, known = _source(video, sound, sample_rate, options)
            if is_whole(count := options.get("frames")) and count > known["frames"]:
                raise InvalidArgumentError(f"frames: {count}, and the video has {known['frames']}")
            if heard is None and what == "video":
                known["audio"] = False  # silent it stays
            if what == "audio":
                known["audio"] = True  # a model that makes none says so
            request = Request.of(prompt, {**known, **options})
            self._fill_in(request, call)
            request.given = Given(
                source=clip, sound=_heard_with(request, heard), retake=(start, end),
                what=None if what == "both" else what,
                splice=splice is not False,
            )  # fmt: skip
            return self._generate(request, call, preview, self._new_job(request, job))

    @making
    def extend(
        self,
        prompt: str | Features,
        video: VideoLike,
        more: int,
        *,
        before: bool | None = False,
        context: int | None = _CONTEXT,
        sound: SoundLike | None = None,
        sample_rate: int | None = None,
        negative_prompt: str | None = None, width: int | None = None, height: int | None = None,
        frames: int | None = None, fps: float | None = None, schedule: str | None = None,
        sampler: str | None = None, recipe: str | None = None, refine_sigmas: str | None = None,
        generated_keyframes: int | Sequence[int] | str | None = None,
        temporal_upscalings: int | None = None, audio: bool | None = None,
        audio_guidance: float | None = None, modality_guidance: float | None = None,
        steps: int | None = None, guidance: float | None = None, stg: float | None = None,
        rescale: float | None = None, seed: int | None = None,
        noise: NDArray[np.float32] | None = None, enhance: bool | Enhancing | None = None,
        progress: Callable[[Progress], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        profile: StrPath | None = None,
    ) -> Video:  # fmt: skip
        """A longer video: `more` frames, a multiple of 8, after the given ones or `before` them.

        `context` frames, 8k + 1 and 17 at least, are what the new ones go on from; a video that has
        more than the model makes at once grows piece by piece, in the memory of one, where
        `frames` says how long a piece is, the context included. Width, height and fps are the
        video's, cut to what the model can make. What is given stays as it is, but for 8 frames and
        60 ms of sound at the seam. All else as in `t2v`.
        """
        before, context = bool(before), _CONTEXT if context is None else context
        if context < _LEAST_CONTEXT or context % clips.GROUP != 1:
            raise InvalidArgumentError(f"context: {context} is not 8k + 1 from {_LEAST_CONTEXT} on")
        if more < 1 or more % clips.GROUP:
            raise InvalidArgumentError(f"more: {more} is not a multiple of 8")
        options = chosen(locals(), Making)
        slots = options.pop("generated_keyframes", None)
        if slots is not None and not str(slots).strip().isdecimal():
            raise InvalidArgumentError(
                f"generated_keyframes: {slots!r} is no number of them; each piece has frames of "
                "its own, so give how many"
            )
        with VideoCall(self, progress, latents, expect, profile) as call:
            clip, heard, known = _source(video, sound, sample_rate, options, any_count=True)
            request = Request.of(prompt, {**known, "frames": None, **options})
            settings = self._fill_in(request, call)
            heard = _heard_with(request, heard)
            longest = options.get("frames", settings["usual_frames"])
            request.options["frames"], seed = longest, request.options["seed"]
            if slots is not None:
                request.options["generated_keyframes"] = int(slots)
            if longest < _LEAST_CONTEXT + clips.GROUP:
                raise InvalidArgumentError(
                    f"frames: {longest} leave no room for a context and what is new; "
                    f"{_LEAST_CONTEXT + clips.GROUP} are the least"
                )
            context = min(context, longest - clips.GROUP)
            if not request.features:
                request.features = self._encode(request, call, settings["parts"])
            whole = Video(clip.pixels, request.options["fps"])
            if heard is not None:
                whole = replace(whole, audio=heard.samples, sample_rate=heard.rate)
            if expect and more > 0:
                one, _, added = self._piece(request, whole, more, before, context)
                plan = _repeated(self._plan(one, call), more / added)
                expect({**plan, "frames": len(whole.frames) + more})
                call.expect = None  # it is told of all pieces
            while more > 0:
                whole, added = self._extended(request, whole, more, before, context, call)
                more -= added
                # Else pieces would move alike.
                request.options["seed"] = (request.options["seed"] + 1) % (1 << 64)
            return replace(whole, metadata={**whole.metadata, "seed": seed})

    def _extended(
        self, request: Request, whole: Video, more: int, before: bool, context: int, call: VideoCall
    ) -> tuple[Video, int]:
        """By one piece, and by how many frames that is."""
        one, rest, added = self._piece(request, whole, more, before, context)
        return _joined(whole, self._generate(one, call, None, None), rest, before), added

    def _piece(
        self, request: Request, whole: Video, more: int, before: bool, context: int
    ) -> tuple[Request, int, int]:
        """What the next piece is made by, how many frames it does not see, how many it adds."""
        kept = min(context, clips.whole_count(len(whole.frames)))
        added = min(more, (request.options["frames"] - kept) // clips.GROUP * clips.GROUP)
        rest = len(whole.frames) - kept
        piece = whole.frames[:kept] if before else whole.frames[rest:]
        options = {**request.options, "frames": kept + added}
        if "generated_keyframes" in options:  # a shorter piece has room for fewer
            slots = min(options["generated_keyframes"], kept + added - 2)
            options["generated_keyframes"] = slots
        one = Request(request.prompt, options, features=request.features)
        one.given = Given(
            source=Clip(np.ascontiguousarray(piece), ""), begin=added if before else 0, splice=True
        )
        if whole.audio is not None:
            at = 0 if before else round(rest / whole.fps * whole.sample_rate)
            count = round(kept / whole.fps * whole.sample_rate)
            part = sounds.lasting(whole.audio[at : at + count], count)
            one.given.sound = sounds.Sound(part, whole.sample_rate)
        return one, rest, added

    @checked
    def upscale(
        self,
        video: VideoLike | NDArray[np.float32],
        *,
        fps: float | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Video:
        """A larger video, by the model's latent upsampler, which is one of its files.

        `video` is a file, an array of frames (uint8), a `Video`, or latents that were kept
        (float32), which lose nothing on the way. Width and height are cut to multiples of 32,
        frames to 8k + 1. A file is taken at `fps`; default: its own rate, of arrays the model's.
        The sound stays as it is; latents have none. Errors as in `t2v`.
        """
        with VideoCall(self, progress) as call:
            given: Any = video
            if isinstance(given, np.ndarray) and given.dtype != np.uint8:
                return self._decode(given, fps, call, upscale=True)
            clip, rate = clip_of(given, fps)
            seconds = len(clip.pixels) / rate if rate else math.inf
            heard = _heard_in(given, None, None, seconds)
            latents = self._latents_of(clips.whole(clip.pixels, clip.name or "video"), call)
            made = self._decode(latents, rate, call, upscale=True)
            if heard is None:
                return made
            samples, rate_of_sound = sounds.resampled(heard, heard.rate)  # of two channels
            count = math.ceil(len(made.frames) / made.fps * rate_of_sound)
            return replace(made, audio=samples[:count], sample_rate=rate_of_sound)


def _most_frames(options: Mapping[str, Any], usual: Mapping[str, Any]) -> int:
    """Of the video; a number that it cannot have is refused later, with all others."""
    given: Any = options.get("frames")
    most: int = given if is_whole(given) and given > 0 else usual["frames"]
    return most


def _source(
    video: VideoLike,
    sound: SoundLike | None,
    sample_rate: int | None,
    options: Mapping[str, Any],
    *,
    any_count: bool = False,
) -> tuple[Clip, Sound | None, dict[str, Any]]:
    """The frames that are there, cut to what the model can make, their sound, and the options that
    follow from them."""
    for side in ("width", "height"):
        if options.get(side) is not None:
            raise InvalidArgumentError(f"{side}: is the video's")
    clip, fps = clip_of(video, options.get("fps"))
    pixels = clips.whole(clip.pixels, clip.name or "video", any_count=any_count)
    count, height, width, _ = pixels.shape
    heard = None
    if options.get("audio") is not False:
        heard = _heard_in(video, sound, sample_rate, count / fps if fps else math.inf)
    known: dict[str, Any] = {"width": width, "height": height, "frames": count}
    if fps:
        known["fps"] = fps
    return Clip(pixels, clip.name), heard, known


def _heard_in(
    video: VideoLike, sound: SoundLike | None, sample_rate: int | None, seconds: float
) -> Sound | None:
    """Files are read as far as so many seconds."""
    if sound is not None:
        return sound_of(sound, sample_rate, seconds)
    if isinstance(video, Video):
        return None if video.audio is None else sound_of(video, None)
    return None if isinstance(video, np.ndarray) else sounds.find(video, seconds)


def _heard_with(request: Request, sound: Sound | None) -> Sound | None:
    """The sound that goes with a video that is there, where the new one has any."""
    if sound is None or request.options["audio"]:
        return sound
    _log.warning("the video's sound is left out, as the new one has none")
    return None


def _repeated(plan: dict[str, Any], times: float) -> dict[str, Any]:
    """Of pieces that are alike, the last maybe shorter."""
    last = times - int(times)
    stages = plan["stages"] * int(times)
    stages += [{**stage, "seconds": last * stage["seconds"]} for stage in plan["stages"] if last]
    return {**plan, "stages": stages, "seconds": times * plan["seconds"]}


def _joined(whole: Video, piece: Video, rest: int, before: bool) -> Video:
    """A piece in place of the end of a video that it goes on from, or of its beginning."""
    kept = len(whole.frames) - rest  # of the video, that the piece has too
    parts = [piece.frames, whole.frames[kept:]] if before else [whole.frames[:rest], piece.frames]
    audio, rate = piece.audio, piece.sample_rate
    if audio is not None:
        audio = sounds.lasting(audio, round(len(piece.frames) / piece.fps * rate))
        old = np.zeros((0, 2), np.float32)
        if whole.audio is not None:
            old = sounds.resampled(sounds.Sound(whole.audio, whole.sample_rate), rate).samples
        old = sounds.lasting(old, round(len(whole.frames) / whole.fps * rate))
        # Where both are the given sound; where there was none it begins or ends with what is new.
        inside = min(_KEPT_APART, kept / whole.fps / 2) if whole.audio is not None else 0.0
        if before:
            new = (len(piece.frames) - kept) / whole.fps
            audio = sounds.joined(audio, old, round(new * rate), round((new + inside) * rate))
        else:
            seam = len(whole.frames) / whole.fps
            begin = round(rest / whole.fps * rate)
            audio = sounds.joined(old, audio, begin, round((seam - inside) * rate))
    metadata = {**piece.metadata, "frames": len(whole.frames) - kept + len(piece.frames)}
    return Video(np.concatenate(parts), piece.fps, None, metadata, audio, rate)
