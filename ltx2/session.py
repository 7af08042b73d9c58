"""Session: one model, opened once, that makes as many videos as are asked of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ._calls import Call
from ._native import assign, c_array, c_path, c_text, check, ffi, lib
from .editing import Editing
from .generating import Generating
from .keywords import checked
from .model_files import Loras, StrPath, model_files
from .request import c_loras
from .video import Progress

Itself = TypeVar("Itself", bound="Session")


class Session(Generating, Editing):
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
    loras        adapters that change the model's matrices; default: none. A file, files, or
                 {file: strength}, where a strength may be negative

    Several threads may share a session; their calls run one after the other. Raises ModelError,
    DeviceError, OutOfMemoryError.
    """

    @checked
    def __init__(
        self,
        model: StrPath | Sequence[StrPath] | None = None,
        *,
        device: str | None = None,
        threads: int | None = None,
        keep_loaded: bool | None = False,
        low_memory: bool | None = False,
        loras: Loras | None = None,
    ) -> None:
        files = model_files(model)
        names = [c_path("model", file) for file in files]
        params = ffi.new("ltx2_session_params *")
        params.size = ffi.sizeof("ltx2_session_params")
        # A name for each pointer: C memory made by Python lives as long as Python refers to it.
        params.files = c_names = c_array("const char *[]", names)
        params.file_count = len(c_names)
        params.device = c_device = ffi.NULL if device is None else c_text("device", device)
        assign(params, "threads", threads or 0)
        params.keep_loaded = keep_loaded or False
        params.low_memory = low_memory or False
        adapters, lora_paths = c_loras(loras)
        params.loras, params.lora_count = adapters, len(adapters)
        out = ffi.new("ltx2_session **")
        with Call():
            check(lib.ltx2_session_open(params, out))
        del c_names, c_device, adapters, lora_paths
        super().__init__(out[0], files, threads or 0, loras)

    @classmethod
    @checked
    def from_pretrained(
        cls: type[Itself],
        name: str,
        *,
        progress: Callable[[Progress], object] | None = None,
        device: str | None = None,
        threads: int | None = None,
        keep_loaded: bool | None = False,
        low_memory: bool | None = False,
        loras: Loras | None = None,
    ) -> Itself:
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
