"""Scenes drawn from a seed, and the sentences that say them."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from scenes import (
    BACKGROUNDS,
    COLOURS,
    FURS,
    LIGHTS,
    MOTIONS,
    SHAPES,
    Cat,
    Scene,
    Sea,
    Shapes,
    Thing,
)
from vision import DIRECTIONS, PALETTE

SCENES, PAIRS, TRIOS = 0.3, 0.25, 0.08  # shares of what training sees
SCENES_AT_FIRST = 0.12  # while all shapes are alone, and much alike
RADIUS, TRAVEL = 0.19, 0.5  # then

# The first phrase of each is the plain one, used for the test prompts.
_GO = ("moves", "slides", "moves", "glides", "goes")
PHRASES = {
    "circle": ("moves in a circle", "goes around in a circle", "circles around"),
    "bounce": ("bounces up and down", "bounces", "is bouncing up and down"),
    "grow": ("grows", "grows bigger", "gets larger"),
    "shrink": ("shrinks", "gets smaller", "shrinks down"),
    "still": ("stands still", "does not move", "stays in place"),
}
NAMES = {
    "circle": ("circle", "ball", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "diamond": ("diamond",),
    "cross": ("cross", "plus"),
}
SEAS = {
    "sunset": (
        "sunset over the sea", "a sunset over the sea", "the sun sets over the sea",
        "a sun over the sea", "the sun goes down over the ocean", "waves at sunset",
        "a sunset at the beach",
    ),
    "day": (
        "the sea on a sunny day", "a sunny day at the sea", "a blue sea under a blue sky",
        "waves on the sea", "the sun over the sea at noon", "the ocean by day",
    ),
    "night": (
        "the moon over the sea", "the sea at night", "a moon over the sea at night",
        "night over the ocean", "waves at night", "moonlight on the sea",
    ),
}  # fmt: skip


def contrasts(colour: str, background: str) -> bool:
    """Whether a viewer distinguishes the two at once."""
    difference = np.subtract(PALETTE[colour], PALETTE[background])
    return float(np.linalg.norm(difference)) > 130


def held_out(combination: tuple[str, ...]) -> bool:
    """One combination in ten, by a hash that no library can change."""
    return zlib.crc32("|".join(combination).encode()) % 10 == 0


def _pick(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]


def thing(rng: np.random.Generator, shape: str, colour: str, motion: str) -> Thing:
    """One that has the picture to itself: place, size and pace are the seed's."""
    radius, travel = float(rng.uniform(0.13, 0.25)), float(rng.uniform(0.3, 0.6))
    dx, dy = (abs(v) * travel / 2 for v in DIRECTIONS.get(motion, (0.0, 0.0)))
    if motion in ("circle", "bounce"):
        travel = float(rng.uniform(0.3, 0.5))
        dx = dy = travel / 2
    elif motion in ("grow", "shrink"):
        radius = float(rng.uniform(0.13, 0.21))
    extent = radius * (1.4 if motion in ("grow", "shrink") else 1.0)
    free = [max(0.5 - extent - d, 0.02) for d in (dx, dy)]
    x, y = (float(rng.uniform(-f, f)) * 0.9 for f in free)
    return Thing(shape, colour, motion, x, y, radius, travel, float(rng.random()))


def narrowed(one: Thing, spread: float) -> Thing:
    """With `spread` of what the seed has to say: place, size and pace are near to the usual.

    What a sentence says of a motion is learnt so in minutes.  Where a shape may be anywhere, most
    of what there is to learn about a noisy clip is where it is, and motion is ignored for long.
    """
    return replace(
        one,
        x=spread * one.x,
        y=spread * one.y,
        radius=RADIUS + spread * (one.radius - RADIUS),
        travel=TRAVEL + spread * (one.travel - TRAVEL),
    )


def _several(rng: np.random.Generator, count: int, background: str) -> tuple[Thing, ...]:
    """Side by side, so that none hides another: each has its own part of the picture."""
    shapes = rng.permutation(SHAPES)[:count]
    colours = [c for c in rng.permutation(COLOURS) if contrasts(str(c), background)][:count]
    places = np.linspace(-0.5, 0.5, 2 * count + 1)[1::2]
    upright = rng.random() < 0.4
    things = []
    for shape, colour, place in zip(shapes, colours, rng.permutation(places), strict=True):
        radius = float(rng.uniform(0.6, 0.85)) * 0.5 / count * (0.8 if count == 2 else 0.95)
        travel = float(rng.uniform(0.2, 0.4))
        along = float(place) + float(rng.uniform(-0.02, 0.02))
        across = float(rng.uniform(-0.12, 0.12))
        x, y = (across, along) if upright else (along, across)
        motions: tuple[str, ...] = ("up", "down", "still", "grow", "shrink", "bounce")
        if upright:
            motions = ("left", "right", "still", "grow", "shrink")
        motion = _pick(rng, motions)
        if motion in ("grow", "shrink"):
            radius /= 1.3
        things.append(
            Thing(str(shape), str(colour), motion, x, y, radius, travel, float(rng.random()))
        )
    return tuple(things)


def sea(rng: np.random.Generator, light: str) -> Sea:
    horizon = float(rng.uniform(-0.05, 0.12))
    radius = float(rng.uniform(0.07, 0.14)) * (0.8 if light == "night" else 1.0)
    low = horizon - float(rng.uniform(0.0, 0.12))
    high = float(rng.uniform(-0.34, -0.2))
    return Sea(
        light,
        sun_x=float(rng.uniform(-0.3, 0.3)),
        sun_y=low if light == "sunset" else high,
        sun_radius=radius,
        horizon=horizon,
        swell=float(rng.uniform(0.8, 1.6)),
        phase=float(rng.random()),
    )


def cat(rng: np.random.Generator, colour: str, direction: str) -> Cat:
    return Cat(
        colour,
        direction,
        x=float(rng.uniform(-0.12, 0.12)),
        size=float(rng.uniform(0.15, 0.22)),
        pace=float(rng.uniform(2.5, 4.0)),
        travel=float(rng.uniform(0.25, 0.5)),
        phase=float(rng.random()),
    )


def training_scene(rng: np.random.Generator, scenes: float = SCENES, spread: float = 1.0) -> Scene:
    """A scene; of one shape alone, no combination that is held out.  See `narrowed` of `spread`."""
    if rng.random() < (scenes if spread == 1 else SCENES_AT_FIRST):
        if rng.random() < 0.5:
            return sea(rng, _pick(rng, LIGHTS))
        return cat(rng, _pick(rng, FURS), _pick(rng, ("left", "right")))
    background = _pick(rng, BACKGROUNDS)
    kind = rng.random()
    if kind < PAIRS + TRIOS and spread == 1:
        return Shapes(_several(rng, 2 if kind < PAIRS else 3, background), background)
    while True:
        one = (_pick(rng, SHAPES), _pick(rng, COLOURS), background, _pick(rng, MOTIONS))
        if contrasts(one[1], background) and not held_out(one):
            alone = thing(rng, one[0], one[1], one[3])
            return Shapes((alone if spread == 1 else narrowed(alone, spread),), background)


def bar_scenes(count: int = 100, seed: int = 2026) -> list[Shapes]:
    """The held-out scenes the bars are measured on: the motions in equal shares."""
    rng = np.random.default_rng(seed)
    scenes: list[Shapes] = []
    while len(scenes) < count:
        motion = MOTIONS[len(scenes) % len(MOTIONS)]
        one = (_pick(rng, SHAPES), _pick(rng, COLOURS), _pick(rng, BACKGROUNDS), motion)
        if contrasts(one[1], one[2]) and held_out(one):
            scenes.append(Shapes((thing(rng, one[0], one[1], motion),), one[2]))
    return scenes


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _phrase(motion: str, rng: np.random.Generator | None, name: str) -> str:
    if motion in DIRECTIONS:
        phrases: tuple[str, ...] = tuple(f"{go} {motion}" for go in _GO)
        phrases += (f"is moving {motion}",)
        if motion in ("left", "right"):
            phrases += (f"moves to the {motion}",)
        if name == "ball" and motion in ("left", "right"):
            phrases += (f"rolls {motion}", f"rolls to the {motion}", "rolls", "rolls")
    else:
        phrases = PHRASES[motion]
    if rng is None or rng.random() < 0.45:
        return phrases[0]
    return _pick(rng, phrases)


def _clause(one: Thing, rng: np.random.Generator | None) -> str:
    name = one.shape if rng is None or rng.random() < 0.7 else _pick(rng, NAMES[one.shape])
    words = f"{one.colour} {name}"
    return f"{_article(words)} {words} {_phrase(one.motion, rng, name)}"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _short(scene: Shapes, rng: np.random.Generator) -> str:
    """What people type who do not care for the rest: the rest may then be anything."""
    one = scene.things[0]
    name = _pick(rng, NAMES[one.shape])
    form = int(rng.integers(6))
    if form == 0:
        return f"{one.colour} {name}"
    if form == 1:
        return f"{_article(one.colour)} {one.colour} {name}"
    if form == 2:
        return f"{_article(name)} {name} {_phrase(one.motion, rng, name)}"
    if form == 3:
        return f"{one.colour} {name}, {scene.background} background"
    if form == 4:
        ground = f"{_article(scene.background)} {scene.background} background"
        return f"{_article(one.colour)} {one.colour} {name} on {ground}"
    return _clause(one, rng)


def _shapes_caption(scene: Shapes, rng: np.random.Generator | None) -> str:
    place = f"{_article(scene.background)} {scene.background} background"
    if rng is not None and len(scene.things) == 1 and rng.random() < 0.2:
        return _short(scene, rng)
    whole = _join([_clause(one, rng) for one in scene.things])
    form = 0.0 if rng is None else rng.random()
    if form < 0.75:
        return f"{whole} on {place}"
    if form < 0.85:
        return f"on {place}, {whole}"
    if form < 0.95:
        return f"{whole}, {scene.background} background"
    return f"{whole} on the {scene.background} background"


def _cat_caption(scene: Cat, rng: np.random.Generator | None) -> str:
    if rng is None:
        return f"{_article(scene.colour)} {scene.colour} cat walks {scene.direction} on grass"
    coloured = rng.random() < 0.6
    animal = f"{scene.colour} cat" if coloured else "cat"
    walks = _pick(rng, ("walks", "walking", "is walking", "goes"))
    if rng.random() < 0.6:
        walks += _pick(rng, (" ", " to the ")) + scene.direction
    place = _pick(
        rng, ("", " on grass", " on grass", " on the grass", " over the grass", " in a meadow")
    )
    if rng.random() < 0.08:
        return animal
    return f"{_article(animal)} {animal} {walks}{place}"


def caption(scene: Scene, rng: np.random.Generator | None = None) -> str:
    """The plain caption, or one of its wordings when `rng` is given."""
    if isinstance(scene, Shapes):
        text = _shapes_caption(scene, rng)
    elif isinstance(scene, Sea):
        text = SEAS[scene.light][0] if rng is None else _pick(rng, SEAS[scene.light])
    else:
        text = _cat_caption(scene, rng)
    if rng is None:
        return text
    case = rng.random()
    if case < 0.25:
        text = text[0].upper() + text[1:]
    elif case < 0.29:
        text = text.title()
    elif case < 0.32:
        text = text.upper()
    return text + "." if rng.random() < 0.2 else text
