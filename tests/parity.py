"""Runs one native component on given arrays, for comparison with the reference's golden files."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

TESTS = Path(__file__).parent
GOLDEN = TESTS / "golden"
sys.path.insert(0, str(TESTS.parent / "scripts"))

DEVICE = os.environ.get("LTX2_TEST_DEVICE", "CPU")  # where the parity tests compute

Arrays = dict[str, NDArray[Any]]


def build() -> Path:
    """The native build with LTX2_TESTS=ON: LTX2_BUILD, else build/ of the checkout."""
    return Path(os.environ.get("LTX2_BUILD", TESTS.parent / "build"))


@cache
def golden(name: str) -> Arrays:
    with np.load(GOLDEN / f"{name}.npz") as data:
        return dict(data)


def run(component: str, models: list[Path], folder: Path, **inputs: object) -> Arrays:
    """Run tests/native/tap/tap.cpp; arrays travel as .npy. Gives outputs and taps by name."""
    program = build() / "tests" / "ltx2_tap"
    if not program.exists():
        pytest.fail(f"{program} is missing; scripts/check builds it")
    out = folder / "out"
    out.mkdir(parents=True, exist_ok=True)
    words = [f"device={DEVICE}"]
    for name, value in inputs.items():
        if isinstance(value, np.ndarray):
            np.save(folder / f"{name}.npy", np.ascontiguousarray(value))
            value = folder / f"{name}.npy"
        words.append(f"{name}={value}")
    paths = ",".join(map(str, models))
    command = [str(program), component, paths, str(out), *words]
    # The reference multiplies in float32 whatever type the file has.
    env = dict(os.environ, LTX2_EXACT=os.environ.get("LTX2_EXACT", "1"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        pytest.fail(f"{component}: {done.stderr.strip() or done.returncode}")
    return {path.stem: np.load(path) for path in out.glob("*.npy")}


def run_dit(model: Path, folder: Path, want: Arrays, **changed: object) -> Arrays:
    """Run the transformer on a golden file's inputs, some of them changed."""
    names = ("latent", "mask", "positions", "context", "sigma")
    inputs: dict[str, object] = {name: want[name] for name in names}
    return run("dit", [model], folder, **{**inputs, **changed})
