"""What the demo model cannot draw is said, by name, before it draws something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from parity import DEVICE

import ltx2
from ltx2 import demo_limits
from ltx2.model_files import DEMO

PROMPTS = json.loads((Path(__file__).parent / "golden" / "demo-prompts.json").read_text())
USUAL = {"width": 128, "height": 128, "frames": 25}

pytestmark = pytest.mark.skipif(
    not (DEMO / "limits.json").is_file(), reason="the demo model is not in this tree"
)


def test_words_it_does_not_know_are_named_once() -> None:
    (line,) = demo_limits.warnings("A cat walks, a Cat sleeps on a red circle", USUAL)
    assert line.startswith("prompt: the demo model does not know cat, walks, sleeps; it draws such")
    assert f'"{json.loads((DEMO / "limits.json").read_text())["sentences"][0]}"' in line


def test_its_own_sentences_are_known_in_any_case() -> None:
    for scene in PROMPTS:
        assert demo_limits.warnings(scene["prompt"].upper() + ".", USUAL) == []


@pytest.mark.parametrize(("name", "value"), [("width", 1024), ("height", 64), ("frames", 97)])
def test_sizes_it_was_not_trained_on_are_named(name: str, value: int) -> None:
    (line,) = demo_limits.warnings("a red circle", {**USUAL, name: value})
    assert line.startswith(f"{name}: the demo model draws well from ")
    assert f"with {value} it may not" in line


def test_a_long_prompt_is_no_long_line() -> None:
    (line,) = demo_limits.warnings(" ".join(f"word{i}" for i in range(500)), USUAL)
    assert len(line) < 300


def test_the_log_says_it_before_the_work(caplog: pytest.LogCaptureFixture) -> None:
    with ltx2.Session(device=DEVICE) as session:
        if not session.is_demo:
            pytest.skip("LTX2_MODEL names another model")
        session.t2v("a zebra", width=32, height=32, frames=1, steps=1, seed=1)
    assert "prompt: the demo model does not know zebra" in caplog.text
    assert "width: the demo model draws well" in caplog.text
