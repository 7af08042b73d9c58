"""Fixtures that several files share."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hub_models
import local_hub
import numpy as np
import pytest

import ltx2

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import make_tiny
import make_twins
import parity
import rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

GEOMETRIES = (
    "base", "odd", "plain", "distilled", "heads", "deep", "bf16", "wide", "joint", "duet", "v20",
    "v25", "windows",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """A shell's background jobs inherit that it is ignored, and the tests' programs from them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's is read, nor written."""
    os.environ["LTX2_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """The command sets up its process's log, and here that is the tests' own."""
    log = logging.getLogger("ltx2")
    handlers, level = log.handlers, log.level
    yield
    log.handlers = handlers
    log.setLevel(level)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Geometry -> its tiny checkpoint; `gemma/` lies next to each."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        name: make_tiny.generate(name, folder / name) / f"ltx-tiny-{name}.safetensors"
        for name in GEOMETRIES
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and no model but the demo."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LTX2_MODEL", raising=False)
    return tmp_path


@pytest.fixture
def clip() -> NDArray[np.uint8]:
    """A red square moves right on blue: smooth enough that a codec keeps it."""
    frames = np.zeros((9, 64, 96, 3), np.uint8)
    frames[..., 2] = 200
    for index in range(len(frames)):
        frames[index, 16:48, 8 + 4 * index : 40 + 4 * index] = (220, 20, 30)
    return frames


@pytest.fixture(scope="module")
def weights(tiny: dict[str, Path]) -> rules.Weights:
    """The tensors of base's checkpoint, for the rules in numpy."""
    return rules.load(tiny["base"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that the fixtures of a file share."""
    return tmp_path_factory.mktemp("module")


def _joined(*paths: Path) -> str:
    return os.pathsep.join(map(str, paths))


@pytest.fixture(scope="session")
def tiny_model(tiny: dict[str, Path]) -> list[Path]:
    """The files of one tiny model: random weights, 64x64, 9 frames, 4 steps of the full recipe."""
    return [tiny["base"], tiny["base"].parent / "gemma"]


@pytest.fixture(scope="session")
def twin() -> Iterator[make_twins.Model]:
    """The weights that every layout of test_twins has."""
    program = parity.build() / "tests" / "ltx2_quantise"
    if not program.exists():
        pytest.fail(f"{program} is missing; scripts/check builds it")
    model = make_twins.Model(program)
    yield model
    model.close()


@pytest.fixture(scope="session")
def twins(
    twin: make_twins.Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Path]]:
    """Every layout: its name, and what is given as the model."""
    folder = tmp_path_factory.mktemp("twins")
    both = {**make_twins.VIDEO, **make_twins.TEXT}
    return {name: layout(twin, folder / name) for name, layout in both.items()}


@pytest.fixture
def model(tiny_model: list[Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """What runs without a model being named: the demo, or a tiny one where it is not made yet."""
    demo = sorted((Path(ltx2.__file__).parent / "demo").glob("*.gguf"))
    value = _joined(*(demo or tiny_model))
    monkeypatch.setenv("LTX2_MODEL", value)
    return value


@pytest.fixture
def command(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """In programs that are started: `ltx2` and `import ltx2` are those of this test run."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "ltx2"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ltx2 "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", _joined(folder), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(ltx2.__file__).parents[1]))
    monkeypatch.setenv("PYTHONSAFEPATH", "1")


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[local_hub.Hub]:
    """An empty hub and an empty cache, for this process and those that it starts."""
    from huggingface_hub import constants

    with local_hub.running() as hub:
        for name, value in {
            "ENDPOINT": hub.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint
            + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_DOWNLOAD_TIMEOUT": 600,
            "DOWNLOAD_CHUNK_SIZE": 50_000,  # what is lost with a connection; 10 MB in truth
        }.items():
            monkeypatch.setattr(constants, name, value)
        for name, value in {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path),
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "600",  # a machine may be busy
        }.items():
            monkeypatch.setenv(name, str(value))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "LTX2_MODEL"):
            monkeypatch.delenv(name, raising=False)
        yield hub


@pytest.fixture(scope="session")
def hub_content(
    tiny: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    return hub_models.repositories(tiny, tmp_path_factory.mktemp("hub"))


@pytest.fixture
def server(hub_content: dict[str, dict[str, bytes]], hub_server: local_hub.Hub) -> local_hub.Hub:
    """The hub with the repositories that names stand for."""
    for name, files in hub_content.items():
        hub_server.repositories[name] = dict(files)
    return hub_server
