"""A model that is open: what the calls of a session share.

One call at a time goes into C. A progress function is always installed, for the sake of Ctrl-C,
`cancel` and the interpreter's end.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import cache, demo_limits, enhancing, jobs, preview, runs
from ._calls import under_way
from ._native import c_text, check, ffi, lib, string
from ._video_call import VideoCall, callback, latents_view, video_of, view
from .errors import CancelledError, InvalidArgumentError
from .model_files import DEMO, Loras, StrPath, strengths_of
from .request import TEXT_PARTS, Conditions, Features, Request, decode_params, frames_params
from .splicing import spliced
from .video import Video

_log = logging.getLogger("ltx2")
Itself = TypeVar("Itself", bound="Opened")


class Opened:
    """Part of Session."""

    def __init__(
        self, session: Any, files: Sequence[StrPath], threads: int, loras: Loras | None
    ) -> None:
        """`session` is C's, and closed by this."""
        self._session: Any = ffi.gc(session, lib.ltx2_session_close)
        self._files = [os.path.abspath(file) for file in files]  # noqa: PTH100 - links stay
        self._loras = {
            os.path.abspath(file): float(strength)  # noqa: PTH100
            for file, strength in strengths_of(loras).items() if strength != 0
        }  # fmt: skip
        self._model = ", ".join(Path(file).name for file in files)
        self._demo = all(DEMO in Path(file).resolve().parents for file in files)
        self._device = string(lib.ltx2_session_device(self._session))
        self._computes = f"{self._device}, {threads} threads"
        self._lock = threading.Lock()
        self._call: VideoCall | None = None  # in C
        self._closed = ""  # why
        self._workers: dict[int, Executor] = {}  # by process
        self._awaited: set[threading.Event] = set()  # what stops each call that is awaited

    @property
    def is_demo(self) -> bool:
        """Whether the model is the demo of this package."""
        return self._demo

    @property
    def model(self) -> str:
        """What runs: the names of its files, and that it is the demo if it is."""
        kind = " (the demo, a toy that draws coloured shapes)" if self._demo else ""
        return self._model + kind

    @property
    def defaults(self) -> dict[str, Any]:
        """What the model itself has for `frames`, `fps` and `schedule`."""
        return self._defaults(None)

    def _defaults(self, features: Features | None) -> dict[str, Any]:
        """As `defaults`; with features also where there is no text encoder."""
        with VideoCall(self) as call:
            usual = self._usual(Request("a", {}, features=features), call)
        return {name: usual[name] for name in ("frames", "fps", "schedule")}

    def cancel(self) -> None:
        """Stop the calls under way, from any thread; each raises CancelledError.

        That is every call that has begun, so also one that waits for another thread's, and those
        that are awaited and have not had their turn.
        """
        for stop in tuple(self._awaited):
            stop.set()
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

    def __enter__(self: Itself) -> Itself:
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

    def _worker(self) -> Executor:
        """For calls that are awaited: one thread, so that those that wait need none."""
        here = os.getpid()  # in a forked process the thread is not
        if here not in self._workers:
            self._workers[here] = ThreadPoolExecutor(1, "ltx2")
        return self._workers[here]

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
        return jobs.Job.begin(path, request, self._files, self._loras, output)

    def _generate(
        self,
        request: Request,
        call: VideoCall,
        show: Callable[[NDArray[np.uint8]], object] | None,
        job: jobs.Job | None,
        made_by: jobs.MadeBy | None = None,  # as a replayed clip names it
    ) -> Video:
        settings = self._fill_in(request, call)
        if settings["frames"] is None:  # the duration head tells it of features
            request.features = self._encode(request, call, settings["parts"])
            settings = self._fill_in(request, call)
        parts: dict[str, str] = settings["parts"]
        if request.features and not (job and job.parts):  # with its own it goes on as it began
            jobs.warn_of_parts("features", request.features.parts, parts, TEXT_PARTS)
        if made_by:
            jobs.warn_of_model(made_by, parts, self._loras)
        kind = runs.variant(self._demo, {} if self._demo else self._usual(request, call))
        about = runs.about(
            model=self._model, generation=settings["generation"], variant=kind,
            device=settings["device"], parts=parts,
        )  # fmt: skip
        about |= {
            name: settings[name] for name in ("loras", "predicted_seconds") if name in settings
        }
        if call.expect:
            call.expect(self._plan(request, call))
        runs.begin(about, request.options)
        for words in demo_limits.warnings(request.prompt, request.options) if self._demo else ():
            _log.warning("%s", words)
        if job:
            job.check(parts, self._files, self._loras)
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
        on_span = None
        if call.profile:
            params.span = on_span = callback("ltx2_span_fn", call.on_span)
            call.profile.begin()
        owner = self._run(lib.ltx2_session_generate, params, call)
        del on_latents, on_state, on_span
        return spliced(video_of(owner, {**request.metadata(), **about}), request.given)

    def _plan(self, request: Request, call: VideoCall) -> dict[str, Any]:
        """What the request would take; how fast this machine is, is kept in the user's cache."""
        params, call.inputs = request.params()
        machine = f"{string(lib.ltx2_version())}, {platform.node()}, {self._computes}"
        speeds = {k: v for k, v in cache.load("speeds.json").items() if _are_speeds(v)}
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

    def _usual(self, request: Request, call: VideoCall) -> dict[str, Any]:
        """The rate that is asked for, and the model's own length and schedule."""
        small, settings = self._small(request, call)
        return {**small.options, "frames": settings["usual_frames"]}

    def _add_images(
        self, request: Request, images: Mapping[int, Conditions], crf: int | None, call: VideoCall
    ) -> None:
        """Compressed as asked, else as the pictures that the model learnt from were."""
        if images:
            own = crf if crf is not None else self._small(request, call)[1]["crf"]
            request.add_images(images, own)

    def _small(self, request: Request, call: VideoCall) -> tuple[Request, dict[str, Any]]:
        """One like it, of a small video without guidance, and what C says of it.

        A large one may not fit the memory, and features may be of the prompt alone.
        """
        options = {"fps": request.options.get("fps"), "width": 64, "height": 64, "frames": 9}
        small = Request("a", {**options, "seed": 0, "audio": False, "guidance": 1.0})
        small.features = request.features
        return small, self._fill_in(small, call)

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
        self,
        latents: NDArray[np.float32],
        fps: float | None,
        call: VideoCall,
        *,
        upscale: bool = False,
        seed: int | None = None,
    ) -> Video:
        params, call.inputs = decode_params(latents, fps, upscale, seed)
        about = runs.about(model=self._model, device=self._device)
        about |= {} if seed is None else {"seed": seed}
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


def _are_speeds(kept: Any) -> bool:
    """As C takes them; what was damaged counts as not there."""
    numbers = list(kept.values()) if isinstance(kept, dict) else [None]
    return all(isinstance(speed, (int, float)) and 0 < speed < math.inf for speed in numbers)
