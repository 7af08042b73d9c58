"""Session: one model, opened once, that makes as many videos as are asked of it.

A progress function is always installed, for the sake of Ctrl-C, `cancel` and the interpreter's end.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np

from . import media
from ._calls import Call, under_way
from ._native import c_array, c_path, c_text, check, ffi, keep, lib, raise_kept, string
from .errors import CancelledError, InvalidArgumentError
from .model_files import DEMO, model_files
from .video import Progress, Video

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self, Unpack

    from .model_files import StrPath

Conditions: TypeAlias = "media.ImageLike | tuple[media.ImageLike, float]"

_log = logging.getLogger("ltx2")


class Options(TypedDict, total=False):
    """What to make; what is left out takes the model's own value. Fields of ltx2_video_params."""

    negative_prompt: str | None
    """What to avoid, where guidance is on; "" is nothing; default: the model's own, else a list of
    usual faults, `capabilities()["defaults"]["negative_prompt"]`."""
    width: int
    """Pixels, a multiple of 32; default: the model's own, 768."""
    height: int
    """Pixels, a multiple of 32; default: the model's own, 512."""
    frames: int
    """8k + 1; default: the model's own, 121."""
    fps: float
    """Frames per second; default: the model's own, 24."""
    schedule: str
    """Noise schedule, by name; default: the model's own. `capabilities()` lists them."""
    steps: int
    """Denoising steps; default: the model's own."""
    guidance: float
    """How closely to follow the prompt; 1 or negative is off; default: the model's own."""
    stg: float
    """Spatio-temporal guidance; negative is off; default: the model's own."""
    rescale: float
    """How much of guidance's gain in contrast to take back, 0..1; negative is off; default: the
    model's own."""
    seed: int
    """Same seed, same device, same video; default: a random one, reported in `Video.seed`."""
    noise: NDArray[np.float32]
    """Replaces the seed's; in the shape of the latents, [channels, frames', height', width']."""


class _Call(Call):
    """One that makes a video: what C calls back, and what it reads."""

    def __init__(
        self,
        session: Session,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
    ) -> None:
        super().__init__()
        self.session = session
        self.progress = progress
        self.latents = latents
        self.inputs: list[Any] = []  # what C reads, so that it lives as long

    def abandon(self) -> None:
        self.session._abandon(self)

    def on_progress(self, progress: Any, _user_data: Any) -> bool:
        raise_kept()  # by the log function
        if self.progress and not self.cancelled:
            self.progress(Progress(string(progress.stage), progress.done, progress.total))
        return not self.cancelled

    def on_latents(self, latents: Any, _user_data: Any) -> bool:
        if self.latents and not self.cancelled:
            self.latents(_latents_view(ffi.NULL, latents).copy())
        return not self.cancelled


class Session:
    """A model on a device. Opening it reads what the files say of themselves; weights load later.

    model        GGUF or safetensors files, or folders of them, or names of `ltx2 list`; default:
                 what the environment variable LTX2_MODEL names (separated as in PATH), else the
                 demo model of this package, a toy of the true architecture that needs no download
    device       what computes, by name; default: the fastest present; `devices()` lists them
    threads      on the processor; default: one per physical core that this process may use
    keep_loaded  keep every component in memory between calls: faster, and much larger; default:
                 each leaves after its stage

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
    ) -> None:
        files = model_files(model)
        names = [c_path("model", file) for file in files]
        params = ffi.new("ltx2_session_params *")
        params.size = ffi.sizeof("ltx2_session_params")
        # A name for each pointer: C memory made by Python lives as long as Python refers to it.
        params.files = c_names = c_array("const char *[]", names)
        params.file_count = len(c_names)
        params.device = c_device = ffi.NULL if device is None else c_text("device", device)
        _assign(params, "threads", threads)
        params.keep_loaded = keep_loaded
        out = ffi.new("ltx2_session **")
        with Call():
            check(lib.ltx2_session_open(params, out))
        del c_names, c_device
        self._session: Any = ffi.gc(out[0], lib.ltx2_session_close)
        self._model = ", ".join(Path(file).name for file in files)
        self._demo = all(DEMO in Path(file).resolve().parents for file in files)
        self._lock = threading.Lock()
        self._call: _Call | None = None  # in C
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
    ) -> Self:
        """A session with a model of `ltx2 list`, downloaded first if it is not here.

        `progress` gets the stages of `ltx2.hub.pull`, whose errors this raises too. A model that is
        here is opened without a word to the hub. The licences are those that `ltx2 pull` shows.
        """
        from . import hub

        wanted = hub.model_set(name)
        here = all(item.path() for item in wanted.items)
        files = wanted.paths() if here else hub.pull(name, progress=progress)
        return cls(files, device=device, threads=threads, keep_loaded=keep_loaded)

    @property
    def model(self) -> str:
        """What runs: the names of its files, and that it is the demo if it is."""
        kind = " (the demo, a toy that draws coloured shapes)" if self._demo else ""
        return self._model + kind

    def t2v(
        self,
        prompt: str,
        *,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        **options: Unpack[Options],
    ) -> Video:
        """A video from text.

        `progress` is called on this thread, at least at each step; `latents` once, with the final
        latents before they are decoded, so that nothing is lost if that fails: `decode` takes them.
        What either raises stops the call and reaches the caller unchanged; so does Ctrl-C. Other
        errors: InvalidArgumentError, ModelError, OutOfMemoryError, DeviceError, CancelledError
        after `cancel()`.
        """
        with _Call(self, progress, latents) as call:
            return self._generate(prompt, [], call, options)

    def i2v(
        self,
        prompt: str,
        image: Conditions | Mapping[int, Conditions],
        *,
        crf: int = 33,
        progress: Callable[[Progress], object] | None = None,
        latents: Callable[[NDArray[np.float32]], object] | None = None,
        **options: Unpack[Options],
    ) -> Video:
        """A video from text that passes through pictures.

        `image` is the first frame, or maps frame numbers to pictures. A picture is a path, a
        `PIL.Image.Image` or an array [height, width, 3] of uint8, RGB; with a strength between 0
        and 1 it is a pair, `("cat.png", 0.8)`. It is scaled to cover the video and cropped at the
        centre.

        The model was trained on pictures that had been through a video codec; `crf` is how
        strongly each is compressed before use, 0 not at all.

        Errors as in `t2v`; a picture that cannot be read is an InvalidArgumentError.
        """
        chosen = image if isinstance(image, Mapping) else {0: image}
        if not chosen:
            raise InvalidArgumentError("image: none is given")
        with _Call(self, progress, latents) as call:
            images = [_image(frame, picture, crf) for frame, picture in chosen.items()]
            strengths = {image["frame"]: image["strength"] for image in images}
            conditions = {"images": strengths, "crf": crf}
            return self._generate(prompt, images, call, options, conditions)

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
        values = _floats("latents", latents)
        if values.ndim != 4:
            raise InvalidArgumentError(f"latents: {values.ndim} dimensions instead of 4")
        params = ffi.new("ltx2_decode_params *")
        params.size = ffi.sizeof("ltx2_decode_params")
        c_values = ffi.from_buffer("float[]", values)
        params.latents = c_latents = ffi.new("ltx2_latents *", (c_values, *values.shape))
        if fps == 0:
            raise InvalidArgumentError(_NOT_ZERO.format("fps"))
        _assign(params, "fps", 0 if fps is None else fps)
        with _Call(self, progress) as call:
            call.inputs = [c_values, c_latents]
            owner = self._run(lib.ltx2_session_decode, params, call)
        return _video(owner, {"model": self._model})

    def cancel(self) -> None:
        """Stop the calls under way, from any thread; each raises CancelledError.

        That is every call that has begun, so also one that waits for another thread's.
        """
        for call in under_way():
            if isinstance(call, _Call) and call.session is self:
                call.cancelled = True

    def close(self) -> None:
        """Free the model, after the call under way if there is one; calls that wait are refused.

        A second time does nothing.
        """
        self._refuse_reentry()
        self._closed = self._closed or "it is closed"
        with _Call(self) as call, self._lock:
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

    def _abandon(self, call: _Call) -> None:
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

    def _generate(
        self,
        prompt: str,
        images: list[dict[str, Any]],
        call: _Call,
        options: Options,
        conditions: Mapping[str, Any] | None = None,
    ) -> Video:
        chosen: dict[str, Any] = {"seed": secrets.randbits(32), **options}
        params, call.inputs = _params(prompt, images, chosen)
        params.latents = on_latents = _callback("ltx2_latents_fn", call.on_latents)
        _log.info("seed: %d", params.seed)
        owner = self._run(lib.ltx2_session_generate, params, call)
        del on_latents
        return _video(owner, {**self._metadata(prompt, chosen), **(conditions or {})})

    def _run(self, function: Any, params: Any, call: _Call) -> Any:
        """The ltx2_video of one call of C, which frees itself."""
        self._refuse_reentry()
        with self._lock:
            if self._closed:
                raise InvalidArgumentError(f"session: {self._closed}")
            if call.cancelled:
                raise CancelledError("cancelled")
            self._call = call
            params.progress = on_progress = _callback("ltx2_progress_fn", call.on_progress)
            try:
                out = ffi.new("ltx2_video **")
                status = function(self._session, params, out)
                owner = ffi.gc(out[0], lib.ltx2_video_free)
                check(status)
            finally:
                self._call = None
                del on_progress
        return owner

    def _metadata(self, prompt: str, options: Mapping[str, Any]) -> dict[str, Any]:
        settings = {name: options[name] for name in _PLAIN if name in options}
        return {"prompt": prompt, "model": self._model, **settings}


def _callback(kind: str, function: Callable[[Any, Any], bool]) -> Any:
    """For C, as long as it is referred to; what `function` raises stops the call."""
    return ffi.callback(kind, function, error=False, onerror=keep)


_PLAIN = [name for name in Options.__annotations__ if name != "noise"]
_TEXTS = {"negative_prompt", "schedule"}
_NOT_ZERO = "{}: 0 cannot be used; leave it out for the default"
_OFF_AT_ZERO = {"guidance", "stg", "rescale"}  # to C zero is the default, negative is off


def _assign(struct: Any, name: str, value: Any) -> None:
    """Set a number; an error names the field."""
    try:
        setattr(struct, name, value)
    except OverflowError:
        raise InvalidArgumentError(f"{name}: {value} is out of range") from None
    except TypeError:
        raise InvalidArgumentError(f"{name}: {value!r} is not a number it can take") from None


def _floats(name: str, values: Any) -> NDArray[np.float32]:
    array = np.asarray(values)
    if not np.can_cast(array.dtype, np.float32, "same_kind"):
        raise InvalidArgumentError(f"{name}: holds {array.dtype}, not numbers")
    return np.ascontiguousarray(array, np.float32)


def _params(
    prompt: str, images: list[dict[str, Any]], options: dict[str, Any]
) -> tuple[Any, list[Any]]:
    """The C struct, and what must live as long as C reads it."""
    if unknown := set(options) - set(Options.__annotations__):
        raise TypeError(f"unknown option: {', '.join(sorted(unknown))}")
    params = ffi.new("ltx2_video_params *")
    params.size = ffi.sizeof("ltx2_video_params")
    params.prompt = c_prompt = c_text("prompt", prompt)
    params.images = c_images = c_array("ltx2_image[]", images)
    params.image_count = len(images)
    inputs: list[Any] = [c_prompt, c_images, images]
    for name, value in options.items():
        if value is None:  # as left out
            continue
        if name == "noise":
            noise = ffi.from_buffer("float[]", _floats(name, value))
            params.noise, params.noise_count = noise, len(noise)
            inputs.append(noise)
        elif name in _TEXTS:
            text = c_text(name, value)
            setattr(params, name, text)
            inputs.append(text)
        elif value == 0 and name in _OFF_AT_ZERO:
            _assign(params, name, -1)
        elif value == 0 and name != "seed":
            raise InvalidArgumentError(_NOT_ZERO.format(name))
        else:
            _assign(params, name, value)
    return params, inputs


def _image(frame: int, image: Conditions, crf: int) -> dict[str, Any]:
    """The fields of ltx2_image."""
    picture, strength = image if isinstance(image, tuple) else (image, 1.0)
    if not 0 < strength <= 1:
        raise InvalidArgumentError(f"strength: {strength:g} is not above 0 and at most 1")
    pixels = media.codec_round_trip(media.read_image(picture), crf)
    height, width, _ = pixels.shape
    return {
        "pixels": ffi.from_buffer("uint8_t[]", pixels),
        "width": width,
        "height": height,
        "frame": frame,
        "strength": strength,
    }


def _view(owner: Any, data: Any, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """A read-only array over memory that `owner` frees.

    A buffer keeps only the pointer it was made from alive, so the pointer keeps the owner.
    """
    pointer = ffi.gc(data, lambda _: owner)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    view: NDArray[Any] = np.frombuffer(ffi.buffer(pointer, size), dtype).reshape(shape)
    view.flags.writeable = False
    return view


def _latents_view(owner: Any, latents: Any) -> NDArray[np.float32]:
    shape = (latents.channels, latents.frames, latents.height, latents.width)
    return _view(owner, latents.values, np.float32, shape)


def _video(owner: Any, metadata: dict[str, Any]) -> Video:
    frames = _view(owner, owner.pixels, np.uint8, (owner.frames, owner.height, owner.width, 3))
    latents = _latents_view(owner, owner.latents)
    size = {"width": owner.width, "height": owner.height, "frames": owner.frames, "fps": owner.fps}
    return Video(frames, owner.fps, latents, {**size, **metadata})


def devices() -> list[str]:
    """The names a session's `device` may have on this machine."""
    with Call():
        return [string(lib.ltx2_device_name(index)) for index in range(lib.ltx2_device_count())]


def describe(file: StrPath) -> dict[str, Any]:
    """What a model file holds; no weight is loaded.

    `parts` lists which parts of a model it holds, each with `id`, `title` and `need`: "always",
    "optional", "extends" others (an adapter), or "never" (recognised, not used). `problem` says why
    the file cannot be used, or is None. `tensors`, `parameters` and `bytes` are counts, `types` has
    them by type. Of a long text or list in `metadata` there is {"begins", "length"}. `tensor_list`
    has `name`, `type` and `shape` of each tensor. Raises ModelError.
    """
    return _json(lambda out: lib.ltx2_file_describe(c_path("file", file), out))


def capabilities() -> dict[str, Any]:
    """What this library knows: `version`, `defaults` where no file states any, `schedules`,
    `stages` of progress, `parts` of a model, `types` and `variants` of a conversion,
    `instruction_sets` that run here, the best last.
    """
    return _json(lib.ltx2_capabilities)


def _json(call: Callable[[Any], int]) -> dict[str, Any]:
    out = ffi.new("char **")
    with Call():
        check(call(out))
    answer: dict[str, Any] = json.loads(string(ffi.gc(out[0], lib.ltx2_text_free)))
    return answer
