"""What the library says of itself, of this machine, and of files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from ._calls import Call
from ._native import c_path, check, ffi, lib, string


def devices() -> list[str]:
    """The names a session's `device` may have on this machine."""
    with Call():
        return [string(lib.ltx2_device_name(index)) for index in range(lib.ltx2_device_count())]


def try_devices() -> list[dict[str, Any]]:
    """What a trial of about a second shows of each of `devices()`.

    `name`, `description`, `kind` ("cpu", "gpu" or "integrated"), the `library` that drives it, the
    `driver` with its version (None: none, or it does not say), `memory` and `memory_free` in bytes
    (None: unknown), `speed` in multiply-adds a second, `error`, the NMSE against the processor's
    results, `lacks`: operations that the processor computes in its place, and `problem`: why it is
    of no use, or None.
    """
    answer: list[dict[str, Any]] = _json(lib.ltx2_try_devices)
    return answer


def speed_words(device: dict[str, Any]) -> str:
    """How fast a tried device is, and what it leaves to the processor, for a person."""
    words = f"{device['speed'] / 1e9:.0f} billion multiply-adds a second"
    if device["lacks"]:
        words += f"; the processor does {', '.join(device['lacks'])}"
    return words


def describe(file: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model file holds; no weight is loaded.

    `parts` lists which parts of a model it holds, each with `id`, `title` and `need`: "always",
    "optional", "extends" others (an adapter), or "never" (recognised, not used); its `geometry`, as
    the number of `blocks`, the `generations` of LTX-2 that it can be of, and its counts. `problem`
    says why the file cannot be used, or is None. `tensors`, `parameters` and `bytes` are counts,
    `types` has them by type. `license` is what the file states, or None. Of a long text or list in
    `metadata` there is {"begins", "length"}. `tensor_list` has `name`, `type`, `shape`, `offset`,
    `bytes` of each tensor, and `sha256` of them where `ltx2 convert` wrote it. Raises ModelError.
    """
    answer: dict[str, Any] = _json(lambda out: lib.ltx2_file_describe(c_path("file", file), out))
    return answer


def capabilities() -> dict[str, Any]:
    """What this library knows: `version`, `defaults` where no file states any, `schedules`,
    `samplers`, `recipes`, `stages` of progress, `parts` of a model, `types` and `variants` of a
    conversion, `instruction_sets` that run here, the best last.
    """
    answer: dict[str, Any] = _json(lib.ltx2_capabilities)
    return answer


def _json(call: Callable[[Any], int]) -> Any:
    out = ffi.new("char **")
    with Call():
        check(call(out))
    return json.loads(string(ffi.gc(out[0], lib.ltx2_text_free)))
