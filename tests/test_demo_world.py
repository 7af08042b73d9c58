"""What the demo model's training draws from, and the judges of what its clips let hear."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts" / "train_demo"))
import hearing
import telling
import vision
import world
from scenes import SHAPES, Shapes, Thing

RATE = 48000


def tone(shape: str, path: np.ndarray, seconds: float = 2.0) -> np.ndarray:
    """The shape's pitch, panned to x along the path (shares from the centre): [samples, 2]."""
    time = np.arange(int(seconds * RATE)) / RATE
    x = np.interp(time / seconds, np.linspace(0, 1, len(path)), path)
    angle = (np.clip(2 * x, -1, 1) + 1) * np.pi / 4
    hum = 0.3 * np.sin(2 * np.pi * hearing.PITCHES[shape] * time)
    return np.stack([hum * np.cos(angle), hum * np.sin(angle)], 1)


def test_what_is_held_out_is_never_trained_on() -> None:
    rng = np.random.default_rng(1)
    for _ in range(3000):
        scene = world.training_scene(rng)
        if isinstance(scene, Shapes) and len(scene.things) == 1:
            one = scene.things[0]
            seen = (one.shape, one.colour, scene.background, one.motion)
            assert not world.held_out(seen)
            assert world.contrasts(one.colour, scene.background)
    bars = world.bar_scenes()
    assert len(bars) == 100
    for scene in bars:
        one = scene.things[0]
        assert world.held_out((one.shape, one.colour, scene.background, one.motion))


def test_things_stay_in_the_picture() -> None:
    for scene in world.bar_scenes():
        path = scene.things[0].at(np.linspace(0, 1, 49))
        assert (np.abs(path[:, :2]).max(1) < 0.5).all(), scene


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_heard_by_its_pitch(shape: str) -> None:
    assert hearing.pitch(tone(shape, np.zeros(2)), RATE) == shape


def test_silence_and_noise_have_no_pitch() -> None:
    assert hearing.pitch(np.zeros((RATE, 2)), RATE) == ""
    off = np.sin(2 * np.pi * 1500 * np.arange(RATE) / RATE)
    assert hearing.pitch(np.stack([off, off], 1), RATE) == ""


def test_a_sound_follows_the_thing_that_makes_it() -> None:
    right = Thing("circle", "red", "right", 0.0, 0.0, 0.2, 0.5, 0.0).at(np.linspace(0, 1, 49))[:, 0]
    assert hearing.follows(tone("circle", right), RATE, right)
    assert not hearing.follows(tone("circle", -right), RATE, right)
    assert not hearing.follows(tone("circle", np.zeros(2)), RATE, right)


def test_steps_and_waves_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    time = np.arange(2 * RATE) / RATE
    noise = rng.standard_normal((len(time), 2)) * 0.2
    swell = noise * (0.55 - 0.45 * np.cos(2 * np.pi * time / 1.2))[:, None]
    strike = noise * np.exp(-((time * 3) % 1) * 20)[:, None]
    assert hearing.is_waves(swell, RATE)
    assert not hearing.is_steps(swell, RATE)
    assert hearing.is_steps(strike, RATE)
    assert not hearing.is_waves(strike, RATE)


def test_edges_and_faces_are_measured() -> None:
    rows, columns = np.mgrid[0:128, 0:128] + 0.5
    red, blue = (np.array(vision.PALETTE[name], float) for name in ("red", "blue"))

    def square(blur: float, hole: bool) -> np.ndarray:
        distance = np.maximum(abs(columns - 64.3), abs(rows - 64.3)) - 40
        cover = np.clip(0.5 - distance / blur, 0, 1)
        if hole:
            cover[60:68, 60:68] = 0
        frame: np.ndarray = (blue + cover[..., None] * (red - blue)).astype(np.uint8)
        return frame[None]

    sharp, soft = (vision.edge_width(square(blur, False), "red", "blue") for blur in (1.25, 8))
    assert 0.5 < sharp < 2 < 4 < soft < 10
    assert vision.marks(square(1.25, False), "red", "blue") < 0.005
    assert vision.marks(square(1.25, True), "red", "blue") > 0.008


def test_features_of_a_clip_do_not_depend_on_its_size() -> None:
    rng = np.random.default_rng(2)
    small = rng.integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)
    large = small.repeat(4, 1).repeat(4, 2)
    assert np.allclose(telling.features(small), telling.features(large), atol=1e-5)
