"""Draws scenes, anti-aliased, from signed distances: each clip a function of its scene alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scenes import Cat, Scene, Sea, Shapes, Thing
from vision import PALETTE

EDGE = 1.25  # pixels over which an edge goes from one colour to the other
DARK = ("black", "blue", "purple", "red", "green")  # colours on which a face is white
SKIES = {  # at the top, at the horizon, the sea's, the sun's
    "sunset": ((92, 60, 120), (250, 160, 90), (70, 60, 110), (255, 225, 120)),
    "day": ((90, 160, 235), (190, 225, 250), (30, 110, 170), (255, 245, 170)),
    "night": ((10, 14, 40), (30, 40, 80), (12, 24, 55), (235, 235, 220)),
}
FUR = {
    "orange": (235, 140, 50),
    "black": (35, 32, 38),
    "white": (240, 238, 232),
    "grey": (130, 130, 138),
}
MEADOW = ((175, 215, 240), (225, 238, 245), (70, 150, 60))  # at the top, at the horizon, the grass


@dataclass
class Canvas:
    """The pixels of one clip: places in shares of the shorter side, and the picture so far."""

    x: torch.Tensor  # [1, 1, columns]
    y: torch.Tensor  # [1, rows, 1]
    s: torch.Tensor  # [frames, 1, 1]: share of the clip
    seconds: torch.Tensor  # [frames, 1, 1]
    side: int  # pixels of the shorter side
    picture: torch.Tensor  # [3, frames, rows, columns]

    def column(self, values: np.ndarray) -> torch.Tensor:
        """One value a frame, as [frames, 1, 1]."""
        return torch.from_numpy(np.asarray(values, np.float32)).to(self.x.device)[:, None, None]

    def paint(
        self, distance: torch.Tensor, colour: tuple[float, ...], opacity: torch.Tensor | float = 1.0
    ) -> None:
        """Lays a colour over what is inside, where the distance is negative."""
        cover = (0.5 - distance * (self.side / EDGE)).clamp(0, 1) * opacity
        for channel, value in zip(self.picture, colour, strict=True):
            channel.add_(cover * (value / 127.5 - 1 - channel))

    def shade(self, amount: torch.Tensor) -> None:
        """Lighter where positive, darker where negative; 1 is from black to white."""
        self.picture.add_(2 * amount[None])


def _rotated(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (x + y) * 0.70710678, (x - y) * 0.70710678


def shape_distance(shape: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
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


def _face(canvas: Canvas, x: torch.Tensor, y: torch.Tensor, r: torch.Tensor, colour: str) -> None:
    """Two eyes and a smile, white on what is dark."""
    ink = (250.0, 250.0, 250.0) if colour in DARK else (25.0, 25.0, 25.0)
    eyes = torch.hypot(x.abs() - 0.24, y + 0.17) - 0.1
    ring = (torch.hypot(x, y - 0.02) - 0.3).abs() - 0.055
    mouth = torch.maximum(ring, 0.12 - y)
    canvas.paint(torch.minimum(eyes, mouth) * r, ink)


def _draw_thing(canvas: Canvas, thing: Thing, smile: bool) -> None:
    path = thing.at(canvas.s[:, 0, 0].cpu().numpy())
    cx, cy, r = (canvas.column(path[:, i]) for i in range(3))
    x, y = (canvas.x - cx) / r, (canvas.y - cy) / r
    canvas.paint(shape_distance(thing.shape, x, y) * r, PALETTE[thing.colour])
    if smile:
        _face(canvas, x, y, r, thing.colour)


def _draw_shapes(canvas: Canvas, scene: Shapes) -> None:
    for channel, value in zip(canvas.picture, PALETTE[scene.background], strict=True):
        channel.fill_(value / 127.5 - 1)
    for thing in scene.things:
        _draw_thing(canvas, thing, scene.smile)


def _backdrop(
    canvas: Canvas,
    horizon: float,
    top: tuple[int, ...],
    low: tuple[int, ...],
    ground: tuple[int, ...],
) -> None:
    """A sky that brightens towards the horizon, and the ground below it."""
    share = ((canvas.y + 0.5) / (horizon + 0.5)).clamp(0, 1)
    for channel, a, b in zip(canvas.picture, top, low, strict=True):
        channel.copy_(((a + (b - a) * share) / 127.5 - 1).expand_as(channel))
    canvas.paint(horizon - canvas.y, tuple(map(float, ground)))


def _draw_sea(canvas: Canvas, scene: Sea) -> None:
    top, low, water, light = SKIES[scene.light]
    _backdrop(canvas, scene.horizon, top, low, water)
    sinking = 0.06 * (canvas.s - 0.5) if scene.light == "sunset" else 0.0 * canvas.s
    x, y = canvas.x - scene.sun_x, canvas.y - scene.sun_y - sinking
    from_sun = torch.hypot(x, y)
    above = (canvas.y < scene.horizon).float()
    glow = torch.exp(-((from_sun / (2.2 * scene.sun_radius)) ** 2))
    canvas.shade(0.12 * glow * above)
    canvas.paint(torch.maximum(from_sun - scene.sun_radius, canvas.y - scene.horizon), light)
    # The waves run towards the viewer: narrow far away, wide near by, one crest each swell.
    depth = ((canvas.y - scene.horizon) / (0.5 - scene.horizon)).clamp(0, 1)
    turns = canvas.seconds / scene.swell + scene.phase
    wave = torch.sin(2 * math.pi * (2.2 * torch.log(depth + 0.12) - turns))
    below = (canvas.y > scene.horizon).float()
    canvas.shade(below * wave * (0.05 + 0.05 * depth))
    path = torch.exp(-((x / (scene.sun_radius * (0.6 + 1.2 * depth))) ** 2))
    crest = (wave * 3).clamp(0, 1)
    for channel, value in zip(canvas.picture, light, strict=True):
        channel.add_(below * path * (0.25 + 0.4 * crest) * (value / 127.5 - 1 - channel))
    canvas.picture.clamp_(-1, 1)


def _limb(
    x: torch.Tensor, y: torch.Tensor, ax: torch.Tensor | float, ay: float, bx: torch.Tensor | float,
    by: torch.Tensor | float, thickness: float,
) -> torch.Tensor:  # fmt: skip
    """Signed distance to a line from a to b with round ends."""
    dx, dy = bx - ax, by - ay
    px, py = x - ax, y - ay
    along = ((px * dx + py * dy) / (dx * dx + dy * dy)).clamp(0, 1)
    return torch.hypot(px - along * dx, py - along * dy) - thickness


def _draw_cat(canvas: Canvas, scene: Cat) -> None:
    top, low, grass = MEADOW
    _backdrop(canvas, 0.02, top, low, grass)
    below = (canvas.y > 0.02).float()
    blades = torch.sin(canvas.x * 95) * torch.sin(canvas.x * 41 + canvas.y * 60)
    canvas.shade((below * blades * 0.03).expand(canvas.s.shape[0], -1, -1))
    forward = 1.0 if scene.direction == "right" else -1.0
    r = scene.size
    cx = canvas.column(scene.at(canvas.s[:, 0, 0].cpu().numpy()))
    turns = canvas.seconds * scene.pace + scene.phase
    bob = 0.04 * torch.cos(2 * math.pi * turns)
    x = (canvas.x - cx) * (forward / r)
    y = (canvas.y - 0.30) / r + 1.0  # the feet stand at 0.30
    up = y - bob
    fur = tuple(map(float, FUR[scene.colour]))
    far = tuple(0.8 * v for v in fur)
    for near, colour in ((False, far), (True, fur)):  # the legs of the far side are darker
        for hind in (False, True):
            angle = math.pi * (turns + (0.5 if hind else 0.0) + (1.0 if near else 0.0))
            swing, lift = 0.3 * torch.sin(angle), 0.12 * torch.cos(angle).clamp(min=0)
            hip = -0.62 if hind else 0.62
            canvas.paint(_limb(x, y, hip, 0.15, hip + swing, 0.92 - lift, 0.13) * r, colour)
    wag = 0.12 * torch.sin(math.pi * turns)
    tail = _limb(x, up, -0.85, -0.15, -1.35 + wag, -0.85, 0.1)
    body = (torch.sqrt(x * x + (up / 0.48) ** 2) - 1.0) * 0.48
    head = torch.hypot(x - 1.0, up + 0.5) - 0.4
    ex, ey = (x - 1.0).abs() - 0.26, up + 0.98
    ears = torch.maximum(ex.abs() * 0.88 - 0.47 * (ey + 0.19), ey - 0.22)
    canvas.paint(torch.minimum(torch.minimum(tail, body), torch.minimum(head, ears)) * r, fur)
    eye = (30.0, 60.0, 30.0) if scene.colour != "black" else (200.0, 220.0, 90.0)
    canvas.paint((torch.hypot(x - 1.17, up + 0.56) - 0.075) * r, eye)


def draw(
    scenes: list[Scene],
    frames: int,
    height: int,
    width: int,
    fps: float = 24.0,
    device: str = "cpu",
    window: tuple[int, int] | None = None,
    offsets: np.ndarray | None = None,
    time: slice | None = None,
) -> torch.Tensor:
    """Clips [scenes, 3, frames, height, width] in [-1, 1].

    `window` (height, width) with `offsets` [scenes, 2] (x, y) and `time` draw only that part.
    """
    rows, columns = window or (height, width)
    numbers = np.arange(frames)[time or slice(0, frames)]
    side = min(height, width)
    out = torch.empty(len(scenes), 3, len(numbers), rows, columns, device=device)
    index = torch.from_numpy(numbers.astype(np.float32)).to(device)[:, None, None]
    share, seconds = index / max(frames - 1, 1), index / fps
    columns_of = torch.arange(columns, device=device)[None, None, :] + 0.5
    rows_of = torch.arange(rows, device=device)[None, :, None] + 0.5
    for i, scene in enumerate(scenes):
        x0, y0 = (0, 0) if offsets is None else (int(offsets[i, 0]), int(offsets[i, 1]))
        x = (columns_of + (x0 - width / 2)) / side
        y = (rows_of + (y0 - height / 2)) / side
        canvas = Canvas(x, y, share, seconds, side, out[i])
        if isinstance(scene, Shapes):
            _draw_shapes(canvas, scene)
        elif isinstance(scene, Sea):
            _draw_sea(canvas, scene)
        else:
            _draw_cat(canvas, scene)
    return out
