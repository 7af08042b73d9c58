"""Session: one model, opened once, that makes as many videos as are asked of it.

A progress function is always installed, for the sake of Ctrl-C, `cancel` and the interpreter's end.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import cache, enhancing, jobs, preview, runs
from ._calls import Call, under_way
from ._native import assign, c_array, c_path, c_text, check, ffi, lib, string
from ._video_call import VideoCall, callback, latents_view, video_of, view
from .editing import Editing
from .errors import CancelledError, InvalidArgumentError
from .model_files import DEMO, model_files
from .request import TEXT_PARTS, Features, Request, c_loras, decode_params, frames_params
from .splicing import spliced

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self, Unpack

    from .enhancing import Enhanced, Enhancing
    from .model_files import Loras, StrPath
    from .request import Conditions, Making
    from .video import Progress, Video

_log = logging.getLogger("ltx2")


class Session(Editing):
    """A model on a device. Opening it reads what the files say of themselves; weights load later.

    model        GGUF or safetensors files, or folders of them, or names of `ltx2 list`; default:
                 what the environment variable LTX2_MODEL names (separated as in PATH), else the
                 demo model of this package, a toy of the true architecture that needs no download
    device       what computes, by name; default: "auto", the fastest that a trial finds right and
                 that has memory for the weights; `devices()` lists them
    threads      on the processor; default: one per physical core that this process may use
    keep_loaded  keep every component in memory between calls: faster, and much larger; default:
                 each leaves after its stage
    low_memory   weights are read ahead and given back layer by layer, for 2 GiB in all, the
                 system's cache of model files counted, as far as the video's size lets it; default:
                 where the machine or the container has less than a run wants, up to what it has
    loras        adapters that change the model's matrices; default: none. Files, or
                 {file: strength}, where a strength may be negative

    Several threads may share a session; their calls run one after the other. Raises ModelError,
    DeviceError, OutOfMemoryError.
    """

    def __init__(
        self,
        model: StrPath | Sequence[StrPath] | None = None,
        *,
        device: str | None = None,
        threads: int = 0,
        keep_loaded: bool = False,
        low_memory: bool = False,
        loras: Loras = (),
    ) -> None:
        files = model_files(model)
        names = [c_path("model", file) for file in files]
        params = ffi.new("ltx2_session_params *")
        params.size = ffi.sizeof("ltx2_session_params")
        # A name for each pointer: C memory made by Python lives as long as Python refers to it.
        params.files = c_names = c_array("const char *[]", names)
        params.file_count = len(c_names)
        params.device = c_device = ffi.NULL if device is None else c_text("device", device)
        assign(params, "threads", threads)
        params.keep_loaded = keep_loaded
        params.low_memory = low_memory
        adapters, lora_paths = c_loras(loras)
        params.loras, params.lora_count = adapters, len(adapters)
        out = ffi.new("ltx2_session **")
        with Call():
            check(lib.ltx2_session_open(params, out))
        del c_names, c_device, adapters, lora_paths
        self._session: Any = ffi.gc(out[0], lib.ltx2_session_close)
        self._files = [os.path.abspath(file) for file in files]  # noqa: PTH100 - links stay
        self._model = ", ".join(Path(file).name for file in files)
        self._demo = all(DEMO in Path(file).resolve().parents for file in files)
        self._device = string(lib.ltx2_session_device(self._session))
        self._computes = f"{self._device}, {threads} threads"
        self._lock = threading.Lock()
        self._call: VideoCall | None = None  # in C
        self._closed = ""  # why

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        progress: Callable[[Progress], object] | None = None,
        device: str | None = None,
        threads: int = 0,
        keep_loaded: bool = False,
        low_memory: bool = False,
        loras: Loras = (),
    ) -> Self:
        """A session with a model of `ltx2 list`, downloaded first if it is not here.

        `progress` gets the stages of `ltx2.hub.pull`, whose errors this raises too. A model that is
        here is opened without a word to the hub. The licences are those that `ltx2 pull` shows.
        """
        from . import hub

        wanted = hub.model_set(name)
        here = all(item.path() for item in wanted.items)
        files = wanted.paths() if here else hub.pull(name, progress=progress)
        return cls(
            files, device=device, threads=threads, keep_loaded=keep_loaded,
            low_memory=low_memory, loras=loras,
        )  # fmt: skip

    @property
    def is_demo(self) -> bool:
        """Whether the model is the demo of this package."""
        return self._demo

    @property
    def model(self) -> str:
        """What runs: the names of its files, and that it is the demo if it is."""
        kind = " (the demo, a toy that draws coloured shapes)" if self._demo else ""
        return self._model + kind

    def t2v(
        self,
        prompt: str | Features,
        *,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
        **options: Unpack[Making],
    ) -> Video:
        """A video from text, or from features that `encode` made of one.

        `progress` is called on this thread, at least at each step; `latents` once, with the final
        latents before they are decoded, so that nothing is lost if that fails: `decode` takes them.
        `preview` is called after each step with a small picture of each latent frame, [frames',
        height, width, 3] of uint8.

        `job` is a file that has after each step what is needed to go on: `resume` does. It must not
        exist yet, and stays until it is removed; a pair also says where the video will be saved,
        for `ltx2 resume`.

        What a function raises stops the call and reaches the caller unchanged; so does Ctrl-C.
        Other errors: InvalidArgumentError, ModelError, OutOfMemoryError, DeviceError,
        CancelledError after `cancel()`.
        """
        with VideoCall(self, progress, latents) as call:
            request = Request.of(prompt, options)
            return self._generate(request, call, preview, self._new_job(request, job))

    def i2v(
        self,
        prompt: str | Features,
        image: Conditions | Mapping[int, Conditions],
        *,
        crf: int = 33,
        keyframes: bool = False,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
        **options: Unpack[Making],
    ) -> Video:
        """A video from text that passes through pictures.

        `image` is the first frame, or maps frame numbers to pictures. A picture is a path, a
        `PIL.Image.Image` or an array [height, width, 3] of uint8, RGB; with a strength between 0
        and 1 it is a pair, `("cat.png", 0.8)`. It is scaled to cover the video and cropped at the
        centre.

        The model was trained on pictures that had been through a video codec; `crf` is how
        strongly each is compressed before use, 0 not at all.

        With `keyframes` that of frame 0 guides as later ones do, and the video moves between them;
        else it is the frame itself.

        All else as in `t2v`; a picture that cannot be read is an InvalidArgumentError.
        """
        chosen = image if isinstance(image, Mapping) else {0: image}
        if not chosen:
            raise InvalidArgumentError("image: none is given")
        with VideoCall(self, progress, latents) as call:
            request = Request.of(prompt, options)
            request.add_images(chosen, crf)
            request.given.keyframes = keyframes
            return self._generate(request, call, preview, self._new_job(request, job))

    def resume(
        self,
        job: StrPath,
        *,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
    ) -> Video:
        """The video of a job that did not come to its end, from the last step that was saved.

        On the same device it has the same bits as without the interruption, whatever `threads` is.
        The model must be the job's: else InvalidArgumentError. All else as in `t2v`.
        """
        with VideoCall(self, progress, latents) as call:
            begun = jobs.Job.load(job)
            return self._generate(begun.request, call, preview, begun)

    def replay(
        self,
        video: StrPath,
        images: StrPath | Sequence[StrPath] = (),
        *,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        preview: Callable[[NDArray[np.uint8]], object] | None = None,
        job: StrPath | tuple[StrPath, StrPath] | None = None,
    ) -> Video:
        """The clip of a file that `Video.save` wrote, made again from what its metadata says.

        With the same model and device it has the same bits, before the codec; a warning in the log
        says so if the model is another one. A file holds no pictures: those that the clip passes
        through are given again, in any order. All else as in `t2v`.
        """
        with VideoCall(self, progress, latents) as call:
            request, parts = jobs.recipe(video, images)
            return self._generate(request, call, preview, self._new_job(request, job), parts)

    def encode(
        self,
        prompt: str,
        *,
        progress: Callable[[Progress], object] | None = None,
        **options: Unpack[Making],
    ) -> Features:
        """The features of a prompt, which `t2v` and `i2v` take in its place.

        With guidance, which `options` may change, also those of the negative prompt. Only this
        needs a text encoder. Errors as in `t2v`.
        """
        with VideoCall(self, progress) as call:
            request = Request.of(prompt, options)
            return self._encode(request, call, self._fill_in(request, call)["parts"])

    def enhance(
        self,
        prompt: str,
        *,
        progress: Callable[[Progress], object] | None = None,
        **options: Unpack[Enhancing],
    ) -> Enhanced:
        """A prompt of more words that the text encoder writes, to be used in place of `prompt`.

        With `enhance=True`, or a mapping of these `options`, the other calls do so first. It takes
        minutes on a processor; docs/prompts.md says why. ModelError also where the text encoder
        cannot be asked, as the demo's. Other errors as in `t2v`.
        """
        with VideoCall(self, progress) as call:
            return enhancing.enhance(self._run, prompt, options, call)

    def decode(
        self,
        latents: NDArray[np.float32],
        *,
        fps: float | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Video:
        """The video of latents that were kept: a decode alone.

        `latents` are [channels, frames', height', width'], as `Video.latents` has them; `fps`
        defaults to the model's own. Errors as in `t2v`.
        """
        with VideoCall(self, progress) as call:
            return self._decode(latents, fps, False, call)

    def plan(
        self,
        prompt: str | Features,
        image: Conditions | Mapping[int, Conditions] | None = None,
        *,
        crf: int = 33,
        progress: Callable[[Progress], object] | None = None,
        **options: Unpack[Making],
    ) -> dict[str, Any]:
        """What `t2v`, or with `image` `i2v`, would take with these arguments; no weight is read.

        `seconds` and `memory` are the whole run's, `stages` has them by `stage`; `width`, `height`,
        `frames`, `fps`, `steps` and `passes` of each step are what would be made. Bytes of
        memory: `memory["own"]` is the most at once without weights that are mapped, whose pages the
        system takes back when it needs them, `memory["with_mapped"]` counts those too. `fits`
        says whether `own` is within `available`; where it does not, `nearest` is the largest
        `width`, `height` and `frames` of this shape that does.

        The first plan measures for a second or two how fast this machine is, and keeps that in the
        user's cache folder, or where `LTX2_CACHE` says. With `busy`, other programs had the
        processor meanwhile, so that it seemed slower, and nothing is kept. Errors as in `i2v`.
        """
        chosen = {0: image} if image is not None and not isinstance(image, Mapping) else image or {}
        with VideoCall(self, progress) as call:
            request = Request.of(prompt, options)
            request.add_images(chosen, crf)
            params, call.inputs = request.params()
            machine = f"{string(lib.ltx2_version())}, {platform.node()}, {self._computes}"
            speeds = cache.load("speeds.json")
            before = c_text("speeds", json.dumps(speeds.get(machine, {})))
            text = self._run(
                lambda session, params, out: lib.ltx2_session_plan(session, params, before, out),
                params,
                call,
                ("char **", lib.ltx2_text_free),
            )
        plan: dict[str, Any] = json.loads(string(text))
        found = plan.pop("speeds")
        if found != speeds.get(machine) and not plan["busy"]:
            cache.store("speeds.json", {**speeds, machine: found})
        return plan

    def cancel(self) -> None:
        """Stop the calls under way, from any thread; each raises CancelledError.

        That is every call that has begun, so also one that waits for another thread's.
        """
        for call in under_way():
            if isinstance(call, VideoCall) and call.session is self:
                call.cancelled = True

    def close(self) -> None:
        """Free the model, after the call under way if there is one; calls that wait are refused.

        A second time does nothing.
        """
        self._refuse_reentry()
        self._closed = self._closed or "it is closed"
        with VideoCall(self) as call, self._lock:
            self._call = call
            if self._session is not None:
                ffi.release(self._session)
                self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.cancel()  # what other threads do with it
        self.close()

    def abandon(self, call: VideoCall) -> None:
        """In a forked process, where the thread of `call` is not: it left the model half done."""
        self._lock = threading.Lock()
        if self._call is call and self._session is not None:
            ffi.gc(self._session, None)  # what is half done cannot be freed either
            self._session = None
            self._closed = "it was in use when the process was forked; open another"

    def _refuse_reentry(self) -> None:
        call = self._call
        if call and call.thread == threading.get_ident() and self._lock.locked():
            raise InvalidArgumentError(
                "session: in use by the call whose progress function this is"
            )

    def _new_job(
        self, request: Request, job: StrPath | tuple[StrPath, StrPath] | None
    ) -> jobs.Job | None:
        if job is None:
            return None
        path, output = job if isinstance(job, tuple) else (job, None)
        return jobs.Job.begin(path, request, self._files, output)

    def _generate(
        self,
        request: Request,
        call: VideoCall,
        show: Callable[[NDArray[np.uint8]], object] | None,
        job: jobs.Job | None,
        made_by: Mapping[str, str] | None = None,  # the parts that a replayed clip names
    ) -> Video:
        settings = self._fill_in(request, call)
        parts: dict[str, str] = settings["parts"]
        if request.features and not (job and job.parts):  # with its own it goes on as it began
            jobs.warn_of_parts("features", request.features.parts, parts, TEXT_PARTS)
        jobs.warn_of_parts("replay", made_by or {}, parts, made_by or ())
        kind = runs.variant(self._demo, {} if self._demo else self._usual(request, call))
        about = runs.about(model=self._model, variant=kind, device=settings["device"], parts=parts)
        if "loras" in settings:
            about["loras"] = settings["loras"]
        runs.begin(about, request.options)
        if job:
            job.check(parts)
            job.save()
            call.stepped.append(job.stepped)
        if show:
            vae = parts["video_vae"]
            colours = preview.Colours.of(vae, lambda frames: self._latents_of(frames, call))
            call.stepped.append(lambda _step, _state, now: show(colours.frames(now)))
        if job and not request.features:
            request.features = self._encode(request, call, parts)
            job.keep()
        params, call.inputs = request.params()
        params.latents = on_latents = callback("ltx2_latents_fn", call.on_latents)
        params.state = on_state = callback("ltx2_state_fn", call.on_state)
        owner = self._run(lib.ltx2_session_generate, params, call)
        del on_latents, on_state
        return spliced(video_of(owner, {**request.metadata(), **about}), request.given)

    def _fill_in(self, request: Request, call: VideoCall) -> dict[str, Any]:
        """The request with every default in it; what C says of it."""
        if request.enhance is not None:
            how = request.enhancing()
            request.enhanced(enhancing.enhance(self._run, request.prompt, how, call))
            _log.info("prompt: %s", request.prompt)
        params, call.inputs = request.params()
        text = self._run(lib.ltx2_session_settings, params, call, ("char **", lib.ltx2_text_free))
        settings: dict[str, Any] = {**json.loads(string(text)), "seed": params.seed}
        request.fill_in(settings)
        return settings

    def _encode(self, request: Request, call: VideoCall, parts: Mapping[str, str]) -> Features:
        params, call.inputs = request.params()
        result = ("ltx2_features **", lib.ltx2_features_free)
        owner = self._run(lib.ltx2_session_encode, params, call, result)
        shape = (owner.rows, owner.width)
        values = view(owner, owner.values, np.float32, shape)
        negative = view(owner, owner.negative, np.float32, shape) if owner.negative else None
        made_by = {part: parts[part] for part in TEXT_PARTS if part in parts}
        avoided = request.options.get("negative_prompt") if owner.negative else None
        return Features(request.prompt, avoided, values, negative, made_by)

    def _decode(
        self, latents: NDArray[np.float32], fps: float | None, upscale: bool, call: VideoCall
    ) -> Video:
        params, call.inputs = decode_params(latents, fps, upscale)
        about = runs.about(model=self._model, device=self._device)
        runs.begin(about, {})
        owner = self._run(lib.ltx2_session_decode, params, call)
        return video_of(owner, about)

    def _latents_of(self, frames: NDArray[np.uint8], call: VideoCall) -> NDArray[np.float32]:
        params, call.inputs = frames_params(frames)
        owner = self._run(lib.ltx2_session_encode_frames, params, call)
        return latents_view(owner, owner.latents)

    def _run(
        self,
        function: Any,
        params: Any,
        call: VideoCall,
        result: tuple[str, Any] = ("ltx2_video **", lib.ltx2_video_free),
    ) -> Any:
        """What one call of C makes; `result` is its type and what frees it, by itself."""
        self._refuse_reentry()
        with self._lock:
            if self._closed:
                raise InvalidArgumentError(f"session: {self._closed}")
            if call.cancelled:
                raise CancelledError("cancelled")
            self._call = call
            params.progress = on_progress = callback("ltx2_progress_fn", call.on_progress)
            try:
                kind, free = result
                out = ffi.new(kind)
                status = function(self._session, params, out)
                owner = ffi.gc(out[0], free)
                check(status)
            finally:
                self._call = None
                del on_progress
        return owner
