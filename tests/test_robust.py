"""Files that state or hold anything at all: each gives a video or one of the exceptions, no crash.

The tiny model is changed in one place at a time, several hundred times. What the library does then
is free, except to end the process, to hang, or to call its own behaviour a defect (InternalError).
"""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors_file import write_safetensors

import ltx2
from ltx2._native import ffi, lib

WRONG: list[Any] = [
    0, -1, 1, 2, 3, 2**31, 2**63, 1e-300, 1e300, -0.5, None, "x", True, [], {}, [0, -1, 2],
]  # fmt: skip
SMALL: ltx2.Options = {"width": 32, "height": 32, "frames": 1, "steps": 1, "seed": 1}

Tensors = dict[str, tuple[str, Any]]


class Checkpoint:
    """The tiny checkpoint in memory, to be written in changed form."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        self.metadata = header.pop("__metadata__")
        self.config = json.loads(self.metadata["config"])
        self.tensors: Tensors = {}
        for name, info in header.items():
            begin, stop = info["data_offsets"]
            values = np.frombuffer(data[end + begin : end + stop], "<f4").reshape(info["shape"])
            if "audio" not in name and "vocoder" not in name:
                self.tensors[name] = ("F32", values)

    def write(self, path: Path, config: Any = None, **changed: tuple[str, Any] | None) -> Path:
        tensors = {**self.tensors, **changed}
        kept = {name: stored for name, stored in tensors.items() if stored is not None}
        text = json.dumps(self.config if config is None else config)
        return write_safetensors(path, kept, {**self.metadata, "config": text})


@pytest.fixture(scope="module")
def checkpoint(tiny: dict[str, Path]) -> Checkpoint:
    return Checkpoint(tiny["base"])


def attempt(*files: Path, **options: Any) -> str:
    """The name of what happened."""
    try:
        with ltx2.Session(files, threads=1) as session:
            video = session.t2v("a dot", **{**SMALL, **options})
    except (ltx2.ModelError, ltx2.InvalidArgumentError, ltx2.OutOfMemoryError) as error:
        return type(error).__name__
    assert video.frames.shape[0] == 1
    return "Video"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every key and entry."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in entries:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from places(inner, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.deepcopy(value)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return value


def drawn(count: int, *lists: list[Any]) -> Iterator[tuple[Any, ...]]:
    """Combinations, random but always the same ones, each first entry at least once."""
    random = np.random.default_rng(0)
    for i in range(max(count, len(lists[0]))):
        yield lists[0][i % len(lists[0])], *(x[random.integers(len(x))] for x in lists[1:])


def test_any_number_in_the_config_is_a_video_or_an_error(
    checkpoint: Checkpoint, tiny: dict[str, Path], tmp_path: Path
) -> None:
    read = {"transformer", "vae", "sampling"}
    paths = [path for path in places(checkpoint.config) if path[0] in read]
    results = []
    for path, new in drawn(200, paths, WRONG):
        file = checkpoint.write(tmp_path / "x.safetensors", replaced(checkpoint.config, path, new))
        results.append(attempt(file, tiny["base"].parent / "gemma"))
    assert {"Video", "ModelError"} <= set(results)


def test_any_number_in_gemmas_config_is_a_video_or_an_error(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    source = tiny["odd"].parent / "gemma"
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((source / "config.json").read_text())
    results = []
    for path, new in drawn(100, list(places(config)), WRONG):
        (tmp_path / "config.json").write_text(json.dumps(replaced(config, path, new)))
        results.append(attempt(tiny["odd"], tmp_path, width=64, height=64))
    assert {"Video", "ModelError"} <= set(results)


def changed_tensors(values: Any) -> dict[str, tuple[str, Any] | None]:
    numbers = {"nan": math.nan, "inf": -math.inf, "huge": 3e38, "zero": 0.0}
    return {
        "missing": None,
        "half": ("F32", values[: len(values) // 2]),
        "none": ("F32", values[:0]),
        "transposed": ("F32", values.T),
        "flat": ("F32", values.reshape(-1)),
        "deep": ("F32", values.reshape(1, 1, *values.shape)),
        "scalar": ("F32", values.reshape(-1)[0]),
        "I32": ("I32", values),
        "F64": ("F64", values),
        "F16": ("F16", values),
        "BF16": ("BF16", np.where(values > 0, np.float32(1), np.float32(-1))),
        **{name: ("F32", np.full_like(values, number)) for name, number in numbers.items()},
    }


def test_any_tensor_is_a_video_or_an_error(
    checkpoint: Checkpoint, tiny: dict[str, Path], tmp_path: Path
) -> None:
    kinds = list(changed_tensors(np.zeros((2, 2), np.float32)))
    results = []
    for name, kind in drawn(200, list(checkpoint.tensors), kinds):
        new = changed_tensors(checkpoint.tensors[name][1])[kind]
        file = checkpoint.write(tmp_path / "x.safetensors", **{name: new})
        results.append(attempt(file, tiny["base"].parent / "gemma"))
    assert {"Video", "ModelError"} <= set(results)


MORE = ["compress_all", {"multiplier": 1}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("transformer", "norm_eps", -1)], "config transformer.norm_eps: -1 is not in 0..1"),
        (
            [("transformer", "connector_num_attention_heads", 1)],
            "video_aggregate_embed.weight has shape",
        ),
        (
            [("vae", "decoder_blocks", MORE)],
            "tensor vae.decoder.up_blocks.0.conv.conv.weight of the",
        ),
        ([("vae", "encoder_blocks", ["compress_all", {}])], "vae.encoder.down_blocks.9.conv"),
    ],
)
def test_a_config_that_the_tensors_do_not_fit_is_refused_when_a_session_opens(
    checkpoint: Checkpoint,
    tiny: dict[str, Path],
    tmp_path: Path,
    changes: list[tuple[str, str, Any]],
    words: str,
) -> None:
    config = copy.deepcopy(checkpoint.config)
    for group, key, new in changes:
        config[group][key] = [*config[group][key], new] if isinstance(new, list) else new
    file = checkpoint.write(tmp_path / "x.safetensors", config)
    with pytest.raises(ltx2.ModelError, match=words):
        ltx2.Session([file, tiny["base"].parent / "gemma"])


# ---- calls


@pytest.fixture(scope="module")
def session(tiny_model: list[Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session(tiny_model, threads=1) as opened:
        yield opened


def test_a_call_can_be_stopped_at_each_of_its_reports(session: ltx2.Session) -> None:
    picture = {0: np.zeros((8, 8, 3), np.uint8), 8: np.zeros((8, 8, 3), np.uint8)}
    options: ltx2.Options = {"seed": 1, "steps": 1, "frames": 9}
    seen: list[ltx2.Progress] = []
    whole = session.i2v("a dot", picture, progress=seen.append, **options)
    assert {progress.stage for progress in seen} == {"load", "text", "image", "denoise", "decode"}
    # How often a report is repeated meanwhile depends on the time that a node takes.
    fresh = [now for now, before in zip(seen, [None, *seen], strict=False) if now != before]
    for last in fresh[::7]:

        def stops(progress: ltx2.Progress, last: ltx2.Progress = last) -> None:
            if progress == last:
                session.cancel()

        with pytest.raises(ltx2.CancelledError):
            session.i2v("a dot", picture, progress=stops, **options)
    assert np.array_equal(session.i2v("a dot", picture, **options).frames, whole.frames)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"noise": np.full((8, 1, 1, 1), np.nan, np.float32)}, "not finite"),
        ({"steps": -1}, "steps: -1"),
        ({"steps": 2**31 - 1}, "steps"),
        ({"guidance": float("inf")}, "guidance"),
        ({"stg": float("nan")}, "stg"),
        ({"fps": 1e9}, "fps"),
        ({"frames": 2**31 - 1}, "frames"),
        ({"width": 2**31 - 1}, "width"),
    ],
)
def test_arguments_at_the_edge_are_refused(
    session: ltx2.Session, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        session.t2v("a dot", **{**SMALL, **options})


def test_more_than_the_machine_has_is_refused_at_once(session: ltx2.Session) -> None:
    reports: list[ltx2.Progress] = []
    with pytest.raises(ltx2.OutOfMemoryError, match="4097 frames of 8192 x 8192"):
        session.t2v("a dot", width=8192, height=8192, frames=4097, progress=reports.append)
    assert not reports


LITTLE = """
import resource, sys, ltx2
session = ltx2.Session(sys.argv[1:], threads=1)
options = {"width": 256, "height": 256, "frames": 9, "steps": 1, "seed": 1}
whole = session.t2v("a dot", **options)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
refused = 0
for more in (1, 5, 10, 12, 15, 18, 20, 22, 25, 30, 60):
    resource.setrlimit(resource.RLIMIT_AS, (used + more * 2**20, -1))
    try:
        session.t2v("a dot", **options)
    except ltx2.OutOfMemoryError:
        refused += 1
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
assert (session.t2v("a dot", **options).frames == whole.frames).all()
print(refused)
"""


@pytest.mark.unsanitized
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of memory that Linux keeps")
def test_memory_that_runs_out_anywhere_is_an_error(
    tiny_model: list[Path], command: None, tmp_path: Path
) -> None:
    line = [sys.executable, "-c", LITTLE, *map(str, tiny_model)]
    ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout) > 2


# ---- the C interface, where Python would not let such a call through


class Raw:
    """A session as a C program has it."""

    def __init__(self, files: list[Path]) -> None:
        self.names = [ffi.new("char[]", str(file).encode()) for file in files]
        array = ffi.new("const char *[]", self.names)
        opening = ffi.new("ltx2_session_params *", {"size": ffi.sizeof("ltx2_session_params")})
        opening.files, opening.file_count, opening.threads = array, len(files), 1
        out = ffi.new("ltx2_session **")
        assert lib.ltx2_session_open(opening, out) == lib.LTX2_STATUS_OK
        self.session = ffi.gc(out[0], lib.ltx2_session_close)

    def generate(self, prompt: bytes, **fields: Any) -> tuple[int, str]:
        text = ffi.new("char[]", prompt)
        size = ffi.sizeof("ltx2_video_params")
        small = {"width": 32, "height": 32, "frames": 1, "steps": 1}
        params = ffi.new("ltx2_video_params *", {"size": size, "prompt": text, **small, **fields})
        out = ffi.new("ltx2_video **")
        status = lib.ltx2_session_generate(self.session, params, out)
        assert (status == lib.LTX2_STATUS_OK) == (out[0] != ffi.NULL)
        lib.ltx2_video_free(out[0])
        return status, ffi.string(lib.ltx2_last_error()).decode()


@pytest.fixture(scope="module")
def raw(tiny_model: list[Path]) -> Raw:
    return Raw(tiny_model)


def test_text_that_is_not_utf8_is_no_crash(raw: Raw) -> None:
    for prompt in (b"\xff\xfe", b"a \xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        assert raw.generate(prompt)[0] in (lib.LTX2_STATUS_OK, lib.LTX2_STATUS_INVALID_ARGUMENT)
    assert raw.generate(b"a" * 100_000)[0] == lib.LTX2_STATUS_OK


def test_pictures_from_c_are_checked(raw: Raw) -> None:
    pixels = ffi.new("uint8_t[]", 4 * 4 * 3)
    good = {"pixels": pixels, "width": 4, "height": 4}
    for images, words in [
        ([{**good, "pixels": ffi.NULL}], "no pixels"),
        ([{**good, "width": -4}], "-4 x 4"),
        ([{**good, "height": 2**31 - 1}], "4 x 2147483647"),
        ([good, good], "images: 2 given for 1 frames"),
        ([{**good, "frame": 1}], "frame: 1"),
        ([{**good, "strength": math.nan}], "strength"),
    ]:
        array = ffi.new("ltx2_image[]", images)
        status, said = raw.generate(b"a", images=array, image_count=len(images))
        assert status == lib.LTX2_STATUS_INVALID_ARGUMENT
        assert words in said
    array = ffi.new("ltx2_image[]", [{**good, "frame": 8}] * 2)
    assert "has an image already" in raw.generate(b"a", images=array, image_count=2, frames=9)[1]
    assert raw.generate(b"a", image_count=1)[1] == "images: null"
    assert raw.generate(b"a", noise_count=1)[1] == "noise: null"


def test_a_session_under_way_refuses_another_call(raw: Raw) -> None:
    seen: list[tuple[int, str]] = []

    def again(_progress: Any, _user_data: Any) -> bool:
        if not seen:
            seen.append(raw.generate(b"a"))
            thread = threading.Thread(target=lambda: seen.append(raw.generate(b"a")))
            thread.start()
            thread.join()
        return True

    progress = ffi.callback("ltx2_progress_fn", again)
    assert raw.generate(b"a", progress=progress)[0] == lib.LTX2_STATUS_OK
    assert seen == [(lib.LTX2_STATUS_INVALID_ARGUMENT, "session: a call is under way")] * 2
    assert raw.generate(b"a")[0] == lib.LTX2_STATUS_OK
