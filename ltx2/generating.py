"""What a session makes of words and pictures: t2v, i2v, what comes before them and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import enhancing, jobs
from ._video_call import VideoCall
from .awaiting import awaited
from .enhancing import Enhanced, Enhancing
from .errors import InvalidArgumentError
from .keywords import checked, chosen, described
from .model_files import StrPath
from .opened import Opened
from .request import Conditions, Features, Making, Request, making, placed
from .video import Progress, Video


class Generating(Opened):
    """Part of Session."""

    @making
    def t2v(
        self,
        prompt: str | Features,
        *,
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
        """A video from text, or from features that `encode` made of one.

        With `enhance` the text encoder writes more words first; a mapping says how, as the options
        of `Session.enhance` do.

        `progress` is called on this thread, at least at each step; `expect` once, before the work,
        with what it will take, as `plan` says; `latents` once, with the final
        latents before they are decoded, so that nothing is lost if that fails: `decode` takes them.
        `preview` is called after each step with a small picture of each latent frame, [frames',
        height, width, 3] of uint8. `profile` is a file that gets what took how long, down to the
        kernels of each block: https://ui.perfetto.dev opens it.

        `job` is a file that has after each step what is needed to go on: `resume` does. It must not
        exist yet, and stays until it is removed; a pair also says where the video will be saved,
        for `ltx2 resume`.

        What a function raises stops the call and reaches the caller unchanged; so does Ctrl-C.
        Other errors: InvalidArgumentError, ModelError, OutOfMemoryError, DeviceError,
        CancelledError after `cancel()`.
        """
        options = chosen(locals(), Making)
        with VideoCall(self, progress, latents, expect, profile) as call:
            request = Request.of(prompt, options)
            return self._generate(request, call, preview, self._new_job(request, job))

    @making
    def i2v(
        self,
        prompt: str | Features,
        image: Conditions | Mapping[int, Conditions],
        *,
        crf: int | None = None,
        keyframes: bool | None = False,
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
        """A video from text that passes through pictures.

        `image` is the first frame, or maps frame numbers to pictures. A picture is a path, a
        `PIL.Image.Image` or an array [height, width, 3] of uint8, RGB; with a strength between 0
        and 1 it is a pair, `("cat.png", 0.8)`. It is scaled to cover the video and cropped at the
        centre.

        The model was trained on pictures that had been through a video codec; `crf` is how
        strongly each is compressed before use, 0 not at all; default: the model's own, 33 and of
        LTX-2.5 18.

        With `keyframes` that of frame 0 guides as later ones do, and the video moves between them;
        else it is the frame itself.

        All else as in `t2v`; a picture that cannot be read is an InvalidArgumentError.
        """
        options = chosen(locals(), Making)
        pictures = placed(image)
        if not pictures:
            raise InvalidArgumentError("image: none is given")
        with VideoCall(self, progress, latents, expect, profile) as call:
            request = Request.of(prompt, options)
            self._add_images(request, pictures, crf, call)
            request.given.keyframes = bool(keyframes)
            return self._generate(request, call, preview, self._new_job(request, job))

    at2v = awaited(t2v)
    ai2v = awaited(i2v)

    @checked
    def resume(
        self,
        job: StrPath | tuple[StrPath, StrPath],
        *,
        progress: Callable[[Progress], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        profile: StrPath | None = None,
    ) -> Video:
        """The video of a job that did not come to its end, from the last step that was saved.

        On the same device it has the same bits as without the interruption, whatever `threads` is.
        The model must be the job's: else InvalidArgumentError. A pair also says where the video
        will be saved now. All else as in `t2v`.
        """
        with VideoCall(self, progress, latents, expect, profile) as call:
            begun = jobs.Job.load(*(job if isinstance(job, tuple) else (job,)))
            return self._generate(begun.request, call, preview, begun)

    @checked
    def replay(
        self,
        video: StrPath,
        images: StrPath | Sequence[StrPath] | None = None,
        *,
        progress: Callable[[Progress], object] | None = None,
        expect: Callable[[dict[str, Any]], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        profile: StrPath | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
    ) -> Video:
        """The clip of a file that `Video.save` wrote, made again from what its metadata says.

        With the same model and device it has the same bits, before the codec; a warning in the log
        says so if the model is another one. A file holds no pictures: those that the clip passes
        through are given again, in any order. All else as in `t2v`.
        """
        with VideoCall(self, progress, latents, expect, profile) as call:
            request, made_by = jobs.recipe(video, images or ())
            return self._generate(request, call, preview, self._new_job(request, job), made_by)

    @making
    def encode(
        self,
        prompt: str,
        *,
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
    ) -> Features:  # fmt: skip
        """The features of a prompt, which `t2v` and `i2v` take in its place.

        With guidance, which `options` may change, also those of the negative prompt. Only this
        needs a text encoder. Errors as in `t2v`.
        """
        options = chosen(locals(), Making)
        with VideoCall(self, progress) as call:
            request = Request.of(prompt, options)
            return self._encode(request, call, self._fill_in(request, call)["parts"])

    @described(Enhancing, "ltx2_enhance_params")
    def enhance(
        self,
        prompt: str,
        *,
        instructions: str | None = None, of_image: bool | None = None, seed: int | None = None,
        temperature: float | None = None, top_k: int | None = None, tokens: int | None = None,
        text: Callable[[str], object] | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Enhanced:  # fmt: skip
        """A prompt of more words that the text encoder writes, to be used in place of `prompt`.

        With `enhance=True`, or a mapping of these `options`, the other calls do so first. It takes
        minutes on a processor; docs/prompts.md says why. ModelError also where the text encoder
        cannot be asked, as the demo's. Other errors as in `t2v`.
        """
        options = chosen(locals(), Enhancing)
        with VideoCall(self, progress) as call:
            return enhancing.enhance(self._run, prompt, options, call)

    @checked
    def decode(
        self,
        latents: NDArray[np.float32],
        *,
        fps: float | None = None,
        seed: int | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Video:
        """The video of latents that were kept: a decode alone.

        `latents` are [channels, frames', height', width'], as `Video.latents` has them; `fps`
        defaults to the model's own. `seed` is that of the run that made them, for the same frames
        where the decoder begins with noise, as LTX-2.5's diffusion decoder does; default: 0.
        Errors as in `t2v`.
        """
        with VideoCall(self, progress) as call:
            return self._decode(latents, fps, call, seed=seed)

    @making
    def plan(
        self,
        prompt: str | Features,
        image: Conditions | Mapping[int, Conditions] | None = None,
        *,
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
    ) -> dict[str, Any]:  # fmt: skip
        """What `t2v`, or with `image` `i2v`, would take with these arguments; no weight is read.

        `seconds` and `memory` are the whole run's, `stages` has them by `stage`; `width`, `height`,
        `frames`, `fps`, `steps` and `passes` of each step are what would be made. Bytes of
        memory: `memory["own"]` is the most at once without weights that are mapped, whose pages the
        system takes back when it needs them, `memory["with_mapped"]` counts those too. `fits`
        says whether `own` is within `available`; where it does not, `nearest` is the largest
        `width`, `height` and `frames` of this shape that does. With `frames_assumed`, a duration
        head will tell from the prompt how many they are: these are the model's own.

        The first plan measures for a second or two how fast this machine is, and keeps that in the
        user's cache folder, or where `LTX2_CACHE` says. With `busy`, other programs had the
        processor meanwhile, so that it seemed slower, and nothing is kept. Errors as in `i2v`.
        """
        options = chosen(locals(), Making)
        with VideoCall(self, progress) as call:
            request = Request.of(prompt, options)
            self._add_images(request, placed(image), crf, call)
            return self._plan(request, call)
