"""The check that judges the demo model's clips, on frames drawn here."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SOURCE = Path(__file__).parent.parent / "scripts" / "train_demo" / "vision.py"


@pytest.fixture(scope="module")
def vision() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vision", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["vision"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def draw(
    ink: tuple[int, int, int],
    paper: tuple[int, int, int],
    path: list[tuple[float, float, float]],
) -> np.ndarray:
    """Squares of half side r at (x, y), in pixels, one a frame: [frames, 64, 64, 3] uint8."""
    frames = np.empty((len(path), 64, 64, 3), dtype=np.uint8)
    frames[:] = paper
    for frame, (x, y, r) in zip(frames, path, strict=True):
        frame[int(y - r) : int(y + r), int(x - r) : int(x + r)] = ink
    return frames


def line(dx: float, dy: float, growth: float = 0.0) -> list[tuple[float, float, float]]:
    return [(32 + dx * s, 32 + dy * s, 10 + growth * s) for s in np.linspace(-0.5, 0.5, 9)]


@pytest.mark.parametrize(
    ("motion", "path"),
    [
        ("right", line(20, 0)),
        ("left", line(-20, 0)),
        ("up", line(0, -20)),
        ("down", line(0, 20)),
        ("up right", line(20, -20)),
        ("down left", line(-20, 20)),
        ("grow", line(0, 0, 8)),
        ("shrink", line(0, 0, -8)),
        ("still", line(0, 0)),
    ],
)
def test_the_right_motion_and_no_other(
    vision: ModuleType, motion: str, path: list[tuple[float, float, float]]
) -> None:
    seen = vision.look(draw(vision.PALETTE["red"], vision.PALETTE["blue"], path))
    others = [*vision.DIRECTIONS, "circle", "bounce", "grow", "shrink", "still"]
    assert [m for m in others if vision.follows(seen, m)] == [motion]


@pytest.mark.parametrize("background", ["blue", "green", "red", "yellow", "white", "black"])
@pytest.mark.parametrize("colour", ["purple", "orange", "cyan", "pink", "grey"])
def test_colours(vision: ModuleType, colour: str, background: str) -> None:
    ink, paper = vision.PALETTE[colour], vision.PALETTE[background]
    verdict = vision.judge(vision.look(draw(ink, paper, line(20, 0))), colour, background, "right")
    assert verdict.all
    wrong = vision.judge(vision.look(draw(paper, ink, line(20, 0))), colour, background, "right")
    assert not wrong.colour
    assert not wrong.background


def test_an_empty_frame_follows_nothing(vision: ModuleType) -> None:
    blank = np.full((9, 64, 64, 3), 128, dtype=np.uint8)
    assert not vision.follows(vision.look(blank), "still")
