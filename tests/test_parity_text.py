"""Gemma 3 and the connector against the official code, on the tiny checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parity import golden, run
from tolerance import NMSE, nmse

GEOMETRIES = ["base", "odd", "heads", "deep", "bf16", "wide"]
PROMPTS = ["prompt", "long", "empty"]


def states(name: str, prompt: str) -> np.ndarray:
    want = golden(f"{name}-gemma")
    layers = sum(n.startswith(f"{prompt}.S") for n in want)
    return np.stack([want[f"{prompt}.S{i}"] for i in range(layers)])


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_hidden_states_equal_hugging_faces(
    name: str, prompt: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    ids = golden(f"{name}-gemma")[f"{prompt}.ids"]
    have = run("text-encoder", [tiny[name].parent], tmp_path, ids=ids)["states"]
    want = states(name, prompt)
    assert have.shape == want.shape
    for layer, (mine, theirs) in enumerate(zip(have, want, strict=True)):
        assert nmse(mine, theirs) <= NMSE["gemma", "F32"].limit, f"S{layer}"


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_context_equals_the_official_connectors(
    name: str, prompt: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    want = golden(f"{name}-connector")
    have = run("connector", [tiny[name].parent], tmp_path, states=states(name, prompt))
    limit = NMSE["connector", "F32"].limit
    assert nmse(have["features"].squeeze(), want[f"{prompt}.features"].squeeze()) <= limit
    theirs = want[f"{prompt}.context"]
    every = f"{prompt}.context.every16"
    assert nmse(have["context"][: len(theirs)], theirs) <= limit
    if every in want:  # 1024 rows: the first ones whole, then one of sixteen
        assert nmse(have["context"][::16], want[every]) <= limit
