"""What the demo model's clips show, before it is drawn or sounded: shapes, a sea, a cat.

A scene is a few numbers and words.  Lengths are shares of the picture's shorter side, places are
measured from its centre, x to the right and y down; `s` is the share of the clip that has passed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from vision import DIRECTIONS

COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "pink", "cyan", "white", "black")
BACKGROUNDS = ("blue", "green", "red", "yellow", "purple", "white", "black", "grey")
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
MOTIONS = (*DIRECTIONS, "circle", "bounce", "grow", "shrink", "still")
LIGHTS = ("sunset", "day", "night")
FURS = ("orange", "black", "white", "grey")


@dataclass(frozen=True)
class Thing:
    """A shape that moves: `x`, `y` is where it is halfway, `travel` how far it goes in the clip."""

    shape: str
    colour: str
    motion: str
    x: float
    y: float
    radius: float
    travel: float
    phase: float  # where a circling thing begins, in turns

    def at(self, s: np.ndarray) -> np.ndarray:
        """[len(s), 3]: x, y and radius."""
        x, y = np.full(len(s), self.x), np.full(len(s), self.y)
        radius = np.full(len(s), self.radius)
        if self.motion in DIRECTIONS:
            dx, dy = DIRECTIONS[self.motion]
            x += dx * self.travel * (s - 0.5)
            y += dy * self.travel * (s - 0.5)
        elif self.motion == "circle":
            angle = 2 * math.pi * (s + self.phase)
            x += 0.4 * self.travel * np.cos(angle)
            y += 0.4 * self.travel * np.sin(angle)
        elif self.motion == "bounce":
            y += self.travel * (0.5 - np.abs(np.sin(2 * math.pi * s)))
        elif self.motion == "grow":
            radius *= 0.6 + 0.8 * s
        elif self.motion == "shrink":
            radius *= 1.4 - 0.8 * s
        return np.stack([x, y, radius], axis=1)


@dataclass(frozen=True)
class Shapes:
    """One to three things, the later ones in front, on a plain background."""

    things: tuple[Thing, ...]
    background: str
    smile: bool = False


@dataclass(frozen=True)
class Sea:
    """The sun (at night the moon) over the sea, whose waves come once in `swell` seconds."""

    light: str
    sun_x: float
    sun_y: float
    sun_radius: float
    horizon: float
    swell: float
    phase: float

    def loudness(self, seconds: np.ndarray) -> np.ndarray:
        """0 between two waves, 1 where one breaks."""
        level: np.ndarray = 0.5 - 0.5 * np.cos(2 * math.pi * (seconds / self.swell + self.phase))
        return level


@dataclass(frozen=True)
class Cat:
    """A cat that walks over grass; a foot falls where `seconds * pace + phase` is whole."""

    colour: str
    direction: str
    x: float
    size: float
    pace: float
    travel: float
    phase: float

    def at(self, s: np.ndarray) -> np.ndarray:
        """[len(s)]: x of the body's middle."""
        sign = 1.0 if self.direction == "right" else -1.0
        x: np.ndarray = self.x + sign * self.travel * (s - 0.5)
        return x


Scene = Shapes | Sea | Cat
