"""Weights that are not numbers, and files that change while a call reads them: never a black video.

A value that is not finite is found after the stage that computed it, and its tensor is named.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SMALL: ltx2.Options = {"width": 64, "height": 64, "frames": 9, "steps": 2, "stg": -1, "seed": 1}
PICTURE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
BLOCK = {
    "F32": 4,
    "F16": 2,
    "Q8_0": 34,
    "Q5_1": 24,
    "Q4_0": 18,
}  # bytes; each begins with its scale or value
Pair = tuple["Path", "Path"]


@pytest.fixture(scope="module")
def converted(tiny: dict[str, Path], folder: Path) -> dict[str, Pair]:
    """The tiny model's two files, with weights of each type."""
    source = tiny["base"]
    return {
        kind: (
            convert(source, folder / f"{kind}.gguf", kind, audio=False),
            convert(source.parent / "gemma", folder / f"{kind}-gemma.gguf", kind),
        )
        for kind in ("f32", "q8_0", "q4_0")
    }


@pytest.fixture(scope="module")
def plain(converted: dict[str, Pair]) -> Pair:
    return converted["f32"]


def tensors(path: Path) -> dict[str, Any]:
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def damaged(tensor: Any, wide: bytes, half: bytes) -> tuple[int, bytes]:
    """Where to write what, for one value, or the scale of one block, in a tensor's middle."""
    kind = tensor.tensor_type.name
    blocks = int(tensor.n_bytes) // BLOCK[kind]
    return int(tensor.data_offset) + blocks // 2 * BLOCK[kind], wide if kind == "F32" else half


NAN, INFINITY = (b"\xff\xff\xff\xff", b"\xff\xff"), (b"\x00\x00\x80\xff", b"\x00\xfc")


@pytest.mark.parametrize("kind", ["f32", "q8_0", "q4_0"])
def test_one_value_in_any_tensor_is_found_and_its_tensor_named(
    converted: dict[str, Pair], tmp_path: Path, kind: str
) -> None:
    """Every tensor, in one of the types; a NaN or an infinity."""
    wrong = []
    for at, path in enumerate(converted[kind]):
        files = list(converted[kind])
        files[at] = tmp_path / "damaged.gguf"
        data = path.read_bytes()
        for i, (name, tensor) in enumerate(tensors(path).items()):
            if list(converted)[i % 3] != kind:
                continue
            place, new = damaged(tensor, *(NAN, INFINITY)[i % 2])
            if name == "token_embd.weight":  # of which the prompt's rows are read: <bos> is 2
                place = int(tensor.data_offset + 2 * (tensor.n_bytes // tensor.shape[1]))
            files[at].write_bytes(data[:place] + new + data[place + len(new) :])
            try:
                with ltx2.Session(files, threads=1, device="CPU") as session:
                    session.i2v("a dot", PICTURE, crf=0, **SMALL)
                wrong.append(f"{name}: a video")
            except ltx2.ModelError as error:
                if f'tensor "{name}" holds a value that is not finite' not in str(error):
                    wrong.append(f"{name}: {error}")
    assert not wrong


def test_one_value_in_a_tensor_of_the_sound_is_found_too(
    twins: dict[str, list[Path]], tmp_path: Path
) -> None:
    """Some of all that a sound is made with."""
    files = [
        convert(twins["official"], tmp_path / "f32.gguf", "f32"),
        convert(twins["sharded"], tmp_path / "gemma.gguf", "f32"),
    ]
    data = files[0].read_bytes()
    sound = {
        name: tensor
        for name, tensor in tensors(files[0]).items()
        if re.search("audio|av_ca_|a2v|vocoder", name) and "encoder" not in name
    }
    assert len(sound) > 300
    files[0] = tmp_path / "damaged.gguf"
    for i, (name, tensor) in enumerate(list(sound.items())[::25]):
        place, new = damaged(tensor, *(NAN, INFINITY)[i % 2])
        files[0].write_bytes(data[:place] + new + data[place + len(new) :])
        with (
            ltx2.Session(files, threads=1, device="CPU") as session,
            pytest.raises(ltx2.ModelError, match=re.escape(f'tensor "{name}" holds a value')),
        ):
            session.t2v("a dot", width=64, height=64, frames=9, seed=1, audio=True)


def written(path: Path, changes: Mapping[str, float | None], target: Path) -> Path:
    """A copy of a file of F32 and F16 values: these tensors hold one number; None: random bytes."""
    data = bytearray(path.read_bytes())
    for name, tensor in tensors(path).items():
        if name not in changes:
            continue
        value, size = changes[name], int(tensor.n_bytes)
        kind = "<f4" if tensor.tensor_type.name == "F32" else "<f2"
        new = np.random.default_rng(0).bytes(size)
        if value is not None:
            new = np.full(size // np.dtype(kind).itemsize, value, kind).tobytes()
        data[int(tensor.data_offset) : int(tensor.data_offset) + size] = new
    target.write_bytes(data)
    return target


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("transformer_blocks.", np.inf, "which denoising step 1 of 2 showed"),
        ("transformer_blocks.", None, "denoising step 1 of 2"),
        ("vae.encoder.", np.nan, "which encoding image 1 showed"),
        ("vae.decoder.", np.nan, "which decoding frame 0 showed"),
        ("text_embedding_projection.", np.nan, "which encoding the prompt showed"),
        # Of which each is finite: their products are not.
        ("transformer_blocks.0.ff", 3e38, "denoising step 1 of 2: values are not finite, though"),
        ("vae.decoder.conv_out", 3e38, "decoding frame 0: values are not finite, though"),
    ],
)
def test_the_stage_and_the_file_are_named(
    plain: Pair, tmp_path: Path, part: str, value: float | None, words: str
) -> None:
    wanted = dict.fromkeys((name for name in tensors(plain[0]) if part in name), value)
    assert wanted
    path = written(plain[0], wanted, tmp_path / "damaged.gguf")
    stages = []
    with (
        ltx2.Session([path, plain[1]], threads=1, device="CPU") as session,
        pytest.raises(ltx2.ModelError) as error,
    ):
        session.i2v("a", PICTURE, crf=0, progress=lambda p: stages.append(p.stage), **SMALL)
    assert words in str(error.value) and str(path) in str(error.value)
    later = {"prompt": {"image", "denoise"}, "image": {"denoise"}, "step": {"decode"}}
    for word, stages_after in later.items():
        assert word not in words or not stages_after & set(stages)


def test_a_video_of_one_colour_is_warned_of(
    plain: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    zeros = dict.fromkeys((n for n in tensors(plain[0]) if n.startswith("vae.decoder.")), 0.0)
    path = written(plain[0], zeros, tmp_path / "damaged.gguf")
    words = "every frame is of nearly one colour"
    with caplog.at_level(logging.WARNING, "ltx2"):
        with ltx2.Session(list(plain), device="CPU") as session:
            session.t2v("a", **SMALL)
        assert words not in caplog.text
        with ltx2.Session([path, plain[1]], device="CPU") as session:
            assert np.ptp(session.t2v("a", **SMALL).frames) == 0
    assert f"{words}, the first of red 127, green 127, blue 127" in caplog.text


def test_a_quantised_source_that_is_not_finite_is_not_converted(
    converted: dict[str, Pair], tmp_path: Path
) -> None:
    name = "model.diffusion_model.transformer_blocks.1.attn1.to_v.weight"
    data = bytearray(converted["q8_0"][0].read_bytes())
    place, new = damaged(tensors(converted["q8_0"][0])[name], *NAN)
    data[place : place + len(new)] = new
    (tmp_path / "damaged.gguf").write_bytes(data)
    with pytest.raises(ltx2.ModelError, match=f'tensor "{name}" holds a value that is not finite'):
        convert(tmp_path / "damaged.gguf", tmp_path / "out.gguf", "q8_0")
    assert [p.name for p in tmp_path.iterdir()] == ["damaged.gguf"]


# ---- files that change

CALL = """
import os, pathlib, sys
import numpy as np
import ltx2
how, when, *files = sys.argv[1:]

def harm(path=files[0]):
    old = pathlib.Path(path)
    if how == "shortened":
        os.truncate(path, int(os.path.getsize(path) * 0.3))
    elif how == "rewritten":
        data = np.random.default_rng(0).bytes(os.path.getsize(path))
        with open(path, "r+b") as file:
            file.write(data)
    elif how == "replaced":
        old.with_suffix(".new").write_bytes(b"x")
        os.replace(old.with_suffix(".new"), old)
    else:
        old.unlink()

small = dict(width=64, height=64, frames=9, steps=2, seed=1)
stages = []
def progress(p):
    if when == p.stage and when not in stages:
        stages.append(when)
        harm()

session = ltx2.Session(files, keep_loaded=when == "kept")
if when == "kept":
    session.t2v("a", **small)
if when in ("before", "kept"):
    harm()
try:
    print("video", session.t2v("a", progress=progress, **small).frames.std() > 1)
except ltx2.ModelError as error:
    print(error)
    try:
        session.t2v("a", **small)
    except ltx2.ModelError as again:
        print(again)
"""


@pytest.mark.parametrize(
    ("how", "when", "words"),
    [
        ("shortened", "before", "was shortened while it was in use"),
        ("shortened", "kept", "was shortened while it was in use"),
        ("shortened", "load", "was shortened while it was in use"),
        ("shortened", "denoise", "was shortened while it was in use"),
        ("shortened", "decode", "was shortened while it was in use"),
        ("rewritten", "before", "was written to while it was in use"),
        ("rewritten", "denoise", "was written to while it was in use"),
        ("rewritten", "decode", "was written to while it was in use"),
        ("replaced", "denoise", "video True"),
        ("deleted", "before", "video True"),
    ],
)
def test_a_file_that_changes_is_an_error_that_names_it(
    plain: Pair, tmp_path: Path, how: str, when: str, words: str
) -> None:
    files = [tmp_path / path.name for path in plain]
    for source, path in zip(plain, files, strict=True):
        path.write_bytes(source.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", CALL, how, when, *map(str, files)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert all(words in line for line in lines), lines
    named = lines[0].startswith(f"{files[0]}: ")
    assert named or words == "video True"
    assert len(lines) == (2 if named else 1)


@pytest.fixture
def source(plain: Pair, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "source.gguf"
    path.write_bytes(plain[0].read_bytes())
    yield path
    assert [p.name for p in tmp_path.iterdir()] == ["source.gguf"]


@pytest.mark.parametrize("left", [0, 0.3])
def test_a_source_that_changes_while_it_is_converted_leaves_no_output(
    source: Path, left: float
) -> None:
    def harm(_: ltx2.Progress) -> None:
        if left:
            os.truncate(source, int(source.stat().st_size * left))
        else:
            source.write_bytes(source.read_bytes())

    with pytest.raises(ltx2.ModelError, match="while it was in use"):
        convert(source, source.with_name("out.gguf"), "f16", progress=harm)
