"""The demo model's world: coloured shapes that move on a plain background, with captions.

Everything is drawn here, anti-aliased, from signed distances; nothing is downloaded.  A clip is
a function of its `Scene`, a scene a function of a seed.  Combinations of shape, colour,
background and motion chosen by a fixed hash (`held_out`) never occur in training.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from vision import DIRECTIONS, PALETTE

COLOURS = ["red", "green", "blue", "yellow", "orange", "purple", "pink", "cyan", "white", "black"]
BACKGROUNDS = ["blue", "green", "red", "yellow", "purple", "white", "black", "grey"]
# The shapes' edges are soft, this share of the shorter side wide: an autoencoder of a few
# million weights learns them in minutes, hard ones in hours.
SOFT = 0.08
SHAPES = ["circle", "square", "triangle", "diamond", "cross"]

MOTIONS = [*DIRECTIONS, "circle", "bounce", "grow", "shrink", "still"]

# The first phrase of each is the plain one, used for the test prompts.
_GO = ("moves", "slides", "moves", "glides")
PHRASES = {
    "circle": ("moves in a circle", "goes around in a circle", "circles around"),
    "bounce": ("bounces up and down", "bounces", "is bouncing up and down"),
    "grow": ("grows", "grows bigger", "gets larger"),
    "shrink": ("shrinks", "gets smaller", "shrinks down"),
    "still": ("stands still", "does not move", "stays in place"),
}


@dataclass(frozen=True)
class Scene:
    """One clip before it is drawn; lengths are shares of the shorter side."""

    shape: str
    colour: str
    background: str
    motion: str
    radius: float
    travel: float
    jitter: tuple[float, float]

    @property
    def combination(self) -> tuple[str, str, str, str]:
        return self.shape, self.colour, self.background, self.motion


def contrasts(colour: str, background: str) -> bool:
    """Whether a viewer distinguishes the two at once."""
    difference = np.subtract(PALETTE[colour], PALETTE[background])
    return float(np.linalg.norm(difference)) > 130


def held_out(combination: tuple[str, ...]) -> bool:
    """One combination in ten, by a hash that no library can change."""
    return zlib.crc32("|".join(combination).encode()) % 10 == 0


def _draw_scene(rng: np.random.Generator, combination: tuple[str, str, str, str]) -> Scene:
    return Scene(
        *combination,
        radius=float(rng.uniform(0.24, 0.29)),
        travel=float(rng.uniform(0.36, 0.44)),
        jitter=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05))),
    )


def training_scene(rng: np.random.Generator) -> Scene:
    """A scene whose combination is not held out and whose two colours differ."""
    while True:
        lists = (SHAPES, COLOURS, BACKGROUNDS, MOTIONS)
        shape, colour, background, motion = (
            names[int(rng.integers(len(names)))] for names in lists
        )
        combination = (shape, colour, background, motion)
        if contrasts(colour, background) and not held_out(combination):
            return _draw_scene(rng, combination)


def bar_scenes(count: int = 100, seed: int = 2026) -> list[Scene]:
    """The held-out scenes the bars are measured on: the motions in equal shares."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    while len(scenes) < count:
        motion = MOTIONS[len(scenes) % len(MOTIONS)]
        combination = (
            SHAPES[int(rng.integers(len(SHAPES)))],
            COLOURS[int(rng.integers(len(COLOURS)))],
            BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))],
            motion,
        )
        if contrasts(combination[1], combination[2]) and held_out(combination):
            scenes.append(_draw_scene(rng, combination))
    return scenes


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """The plain caption, or one of its wordings when `rng` is given."""
    thing = f"{scene.colour} {scene.shape}"
    a_thing = f"{_article(thing)} {thing}"
    a_place = f"{_article(scene.background)} {scene.background} background"
    if scene.motion in DIRECTIONS:
        phrases: tuple[str, ...] = tuple(f"{go} {scene.motion}" for go in _GO)
        phrases += (f"moves to the {scene.motion}", f"is moving {scene.motion}")
    else:
        phrases = PHRASES[scene.motion]
    if rng is None:
        return f"{a_thing} {phrases[0]} on {a_place}"
    does = phrases[int(rng.integers(len(phrases)))] if rng.random() < 0.6 else phrases[0]
    form = rng.random()
    if form < 0.7:
        text = f"{a_thing} {does} on {a_place}"
    elif form < 0.8:
        text = f"on {a_place}, {a_thing} {does}"
    elif form < 0.9:
        text = f"{a_thing} {does}, {scene.background} background"
    else:
        text = f"the {thing} {does} on the {scene.background} background"
    if rng.random() < 0.2:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.2 else text


def trajectory(scene: Scene, frames: int, height: int, width: int) -> np.ndarray:
    """[frames, 3]: centre x, centre y and radius in pixels."""
    side = min(height, width)
    s = np.linspace(0.0, 1.0, frames)
    x = np.full(frames, width / 2 + scene.jitter[0] * side)
    y = np.full(frames, height / 2 + scene.jitter[1] * side)
    r = np.full(frames, scene.radius * side)
    if scene.motion in DIRECTIONS:
        dx, dy = DIRECTIONS[scene.motion]
        x += dx * scene.travel * side * (s - 0.5)
        y += dy * scene.travel * side * (s - 0.5)
    elif scene.motion == "circle":
        angle = 2 * math.pi * s - math.pi / 2
        x += 0.42 * scene.travel * side * np.cos(angle)
        y += 0.42 * scene.travel * side * np.sin(angle)
    elif scene.motion == "bounce":
        y += scene.travel * side * (0.5 - np.abs(np.sin(2 * math.pi * s)))
    elif scene.motion == "grow":
        r *= 0.55 + 0.7 * s
    elif scene.motion == "shrink":
        r *= 1.25 - 0.7 * s
    return np.stack([x, y, r], axis=1)


def _distance(shape: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Signed distance to the shape of radius 1, negative inside."""
    if shape == "circle":
        return torch.sqrt(x * x + y * y) - 0.95
    if shape == "square":
        return torch.maximum(x.abs(), y.abs()) - 0.85
    if shape == "triangle":
        return torch.maximum(0.866 * x.abs() - 0.5 * (y - 0.15), y - 0.15) - 0.55
    if shape == "diamond":
        return (x.abs() + y.abs() - 1.05) * 0.7071
    if shape == "cross":
        ax, ay = x.abs(), y.abs()
        bar_x = torch.maximum(ax - 1.0, ay - 0.36)
        bar_y = torch.maximum(ax - 0.36, ay - 1.0)
        return torch.minimum(bar_x, bar_y)
    raise ValueError(f"shape: {shape!r} is unknown")


def render(
    scenes: list[Scene],
    frames: int,
    height: int,
    width: int,
    window: tuple[int, int] | None = None,
    offsets: np.ndarray | None = None,
    time: slice | None = None,
) -> torch.Tensor:
    """Clips [scenes, 3, frames, height, width] in [-1, 1].

    `window` (height, width) with `offsets` [scenes, 2] (x, y) and `time` draw only that part.
    """
    rows, columns = window or (height, width)
    time = time or slice(0, frames)
    count = len(range(*time.indices(frames)))
    out = torch.empty(len(scenes), 3, count, rows, columns)
    for i, scene in enumerate(scenes):
        x0, y0 = (0, 0) if offsets is None else (int(offsets[i, 0]), int(offsets[i, 1]))
        path = torch.from_numpy(trajectory(scene, frames, height, width)[time]).float()
        cx, cy, r = path[:, 0, None, None], path[:, 1, None, None], path[:, 2, None, None]
        px = (torch.arange(columns) + x0 + 0.5)[None, None, :] - cx
        py = (torch.arange(rows) + y0 + 0.5)[None, :, None] - cy
        distance = _distance(scene.shape, px / r, py / r) * r
        cover = (0.5 - distance / (SOFT * min(height, width))).clamp(0, 1)
        cover = cover * cover * (3 - 2 * cover)
        ink, paper = (
            torch.tensor(PALETTE[k]) / 127.5 - 1 for k in (scene.colour, scene.background)
        )
        torch.lerp(paper[:, None, None, None], ink[:, None, None, None], cover[None], out=out[i])
    return out
