"""Looks at frames and says what moves where: colour, background, direction of the centroid.

NumPy alone, so that a test can judge frames from `ltx2` itself:

    seen = look(frames)                    # [frames, height, width, 3] uint8
    verdict = judge(seen, "red", "blue", "right")
"""

from dataclasses import dataclass

import numpy as np

PALETTE = {
    "red": (220, 40, 40),
    "green": (40, 165, 60),
    "blue": (40, 80, 220),
    "yellow": (245, 220, 60),
    "orange": (245, 140, 30),
    "purple": (140, 50, 180),
    "pink": (250, 150, 195),
    "cyan": (60, 205, 220),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "grey": (128, 128, 128),
}

# Unit direction of the centroid (x to the right, y down) for the motions that have one.
DIRECTIONS = {
    "right": (1.0, 0.0),
    "left": (-1.0, 0.0),
    "up": (0.0, -1.0),
    "down": (0.0, 1.0),
    "up right": (0.7071, -0.7071),
    "up left": (-0.7071, -0.7071),
    "down right": (0.7071, 0.7071),
    "down left": (-0.7071, 0.7071),
}

FOREGROUND = 60.0  # RGB distance from the background's colour that makes a pixel the shape's


@dataclass(frozen=True)
class Seen:
    """What `look` found; lengths are shares of the shorter side, y points down."""

    colour: str
    background: str
    path: np.ndarray  # [frames, 2]: x, y of the centroid
    area: np.ndarray  # [frames]: share of the frame the shape covers


@dataclass(frozen=True)
class Verdict:
    colour: bool
    background: bool
    motion: bool

    @property
    def all(self) -> bool:
        return self.colour and self.background and self.motion


def nearest_colour(rgb: np.ndarray) -> str:
    names = list(PALETTE)
    distances = [np.linalg.norm(np.asarray(rgb, float) - PALETTE[name]) for name in names]
    return names[int(np.argmin(distances))]


def look(frames: np.ndarray) -> Seen:
    """Background from the frame's border, the shape as what differs from it."""
    pixels = np.asarray(frames).astype(np.float32)
    count, height, width, _ = pixels.shape
    border = np.concatenate(
        [
            pixels[:, :4].reshape(-1, 3),
            pixels[:, -4:].reshape(-1, 3),
            pixels[:, :, :4].reshape(-1, 3),
            pixels[:, :, -4:].reshape(-1, 3),
        ]
    )
    ground = np.median(border, axis=0)
    shape = np.linalg.norm(pixels - ground, axis=-1) > FOREGROUND
    area = shape.mean((1, 2))
    ink = np.median(pixels[shape], axis=0) if shape.any() else ground
    rows, columns = np.mgrid[0:height, 0:width]
    path = np.full((count, 2), np.nan)
    for i in range(count):
        if area[i] > 0.002:
            path[i] = columns[shape[i]].mean() + 0.5, rows[shape[i]].mean() + 0.5
    return Seen(nearest_colour(ink), nearest_colour(ground), path / min(height, width), area)


def follows(seen: Seen, motion: str) -> bool:
    """Whether the centroid's path (or the area) is what `motion` says."""
    path = seen.path
    if np.isnan(path).any():
        return False
    net = path[-3:].mean(0) - path[:3].mean(0)
    x_range, y_range = map(float, path.max(0) - path.min(0))
    growth = float(seen.area[-3:].mean()) / max(float(seen.area[:3].mean()), 1e-6)
    if motion in DIRECTIONS:
        length = float(np.linalg.norm(net))
        return length > 0.12 and float(net @ DIRECTIONS[motion]) / length > 0.92
    calm = float(np.linalg.norm(net)) < 0.12
    if motion == "circle":
        return calm and min(x_range, y_range) > 0.15
    if motion == "bounce":
        return calm and y_range > 0.15 and x_range < 0.1
    resting = max(x_range, y_range) < 0.1
    if motion == "grow":
        return resting and growth > 1.5
    if motion == "shrink":
        return resting and growth < 0.67
    if motion == "still":
        return resting and 0.75 < growth < 1.33
    raise ValueError(f"motion: {motion!r} is unknown")


def judge(seen: Seen, colour: str, background: str, motion: str) -> Verdict:
    return Verdict(seen.colour == colour, seen.background == background, follows(seen, motion))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Of uint8 images, in decibels."""
    error = np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def _cover(frames: np.ndarray, colour: str, background: str) -> np.ndarray:
    """[frames, height, width]: 0 where a pixel is the background's colour, 1 where the shape's."""
    ground, ink = (np.asarray(PALETTE[name], np.float32) for name in (background, colour))
    across = ink - ground
    cover: np.ndarray = (np.asarray(frames, np.float32) - ground) @ across / (across @ across)
    return cover


def edge_width(frames: np.ndarray, colour: str, background: str) -> float:
    """Pixels over which an edge goes from a tenth to nine tenths of the way between the colours.

    The pixels in between, for each pixel of the outline at the middle; 1 is a drawn edge.
    """
    cover = _cover(frames, colour, background)
    inside = cover > 0.5
    outline = (inside[:, 1:] != inside[:, :-1]).sum() + (
        inside[:, :, 1:] != inside[:, :, :-1]
    ).sum()
    between = ((cover > 0.1) & (cover < 0.9)).sum()
    # A slanted line has 4 / pi times as many steps as pixels of length.
    return float(between / max(outline * np.pi / 4, 1))


def marks(frames: np.ndarray, colour: str, background: str) -> float:
    """The share of the shape's inside that is not its colour, such as a face.

    Inside is what lies between the shape's pixels in its row and in its column.
    """
    pixels = np.asarray(frames, np.float32)
    ink = np.linalg.norm(pixels - np.asarray(PALETTE[colour], np.float32), axis=-1) < FOREGROUND
    inside = np.ones_like(ink)
    for axis in (1, 2):
        before = np.logical_or.accumulate(ink, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(ink, axis), axis), axis)
        inside &= before & after
    return float((inside & ~ink).sum() / max(inside.sum(), 1))
