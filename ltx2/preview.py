"""Small pictures of latents: each cell becomes 8 x 8 pixels by a linear map.

The map is fitted to the model's own video VAE: its encoder is given a clip that is drawn here, of
smooth fields of colour, edges and gratings that drift, and least squares with a ridge finds what
gives the clip's pixels, scaled down, back from its latents. The first latent frame stands for one
frame and has a map of its own; the others stand for eight, whose mean they show. A map is fitted
once for each VAE and kept in the user's cache folder.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import tensors
from .errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .pictures import Pixels

_log = logging.getLogger("ltx2")

CELL = 8  # pixels of the preview for a latent cell, across
_RIDGE = 1e-2  # of the mean square of a channel
_FRAMES, _SIDE, _BLOTS = 9, 256, 60  # of a clip
_CLIPS = 4


@dataclass(frozen=True, eq=False)
class Colours:
    """The maps of the first latent frame and of the others: [channels + 1, CELL * CELL * 3]."""

    first: NDArray[np.float32]
    later: NDArray[np.float32]

    @staticmethod
    def of(vae: str, encode: Callable[[Pixels], NDArray[np.float32]]) -> Colours:
        """From the cache, by the VAE's fingerprint, or fitted with `encode`: frames -> latents."""
        path = cache_folder() / f"preview-{vae}"
        with suppress(Error):
            _, arrays = tensors.read(path, "preview")
            if arrays.keys() == {"first", "later"}:
                return Colours(arrays["first"], arrays["later"])
        colours = fit(encode)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            tensors.write(path, "preview", {}, vars(colours))
        except (OSError, Error) as error:
            _log.info("preview: its map is not kept: %s", error)
        return colours

    def frames(self, latents: NDArray[np.float32]) -> Pixels:
        """[channels, frames, height, width] -> a picture of each latent frame."""
        values = np.moveaxis(latents, 0, -1)
        values = np.concatenate([values, np.ones_like(values[..., :1])], -1)
        colours = np.concatenate([values[:1] @ self.first, values[1:] @ self.later])
        frames, height, width, _ = colours.shape
        pixels = colours.reshape(frames, height, width, CELL, CELL, 3).swapaxes(2, 3)
        pixels = pixels.reshape(frames, height * CELL, width * CELL, 3)
        return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)


def fit(encode: Callable[[Pixels], NDArray[np.float32]]) -> Colours:
    first, later = [], []
    for clip in map(drawn, range(_CLIPS)):
        latents = np.moveaxis(encode(clip), 0, -1)
        cells, height, width, _ = latents.shape
        scale = _SIDE // (height * CELL)
        small = clip.reshape(_FRAMES, height * CELL, scale, width * CELL, scale, 3).mean((2, 4))
        means = small[1:].reshape(cells - 1, -1, *small.shape[1:]).mean(1)
        first.append((latents[:1], small[:1] / 255))
        later.append((latents[1:], means / 255))
    return Colours(*(_least_squares(*map(np.concatenate, zip(*p, strict=True))) for p in (first, later)))


def _least_squares(latents: NDArray[Any], pixels: NDArray[Any]) -> NDArray[np.float32]:
    frames, height, width, channels = latents.shape
    x = latents.reshape(-1, channels).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    y = pixels.reshape(frames, height, CELL, width, CELL, 3).swapaxes(2, 3).reshape(len(x), -1)
    ridge = np.full(channels + 1, _RIDGE * len(x) * (x[:, :-1] ** 2).mean())
    ridge[-1] = 0
    solved = np.linalg.solve(x.T @ x + np.diag(ridge), x.T @ y)
    return np.ascontiguousarray(solved, np.float32)


def drawn(seed: int = 0) -> Pixels:
    """A clip: blots of colour that drift, some soft, some with edges, some striped."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    clip = np.empty((_FRAMES, _SIDE, _SIDE, 3))
    clip[:] = draw.random(3)
    for _ in range(_BLOTS):
        centre, speed = draw.random(2), draw.normal(0, 0.3, 2)
        size, edge = draw.uniform(0.03, 0.3), draw.choice([0.003, 0.03, 0.2])
        colour, angle, stripes = draw.random(3), draw.uniform(0, np.pi), draw.choice([0, 0, 8, 25])
        for time, frame in enumerate(clip):
            dy, dx = (y, x) - (centre + speed * (time / _FRAMES - 0.5))[:, None, None]
            inside = 1 / (1 + np.exp(((np.hypot(dy, dx) - size) / edge).clip(-50, 50)))
            if stripes:
                inside *= 0.5 + 0.5 * np.sin(stripes * 6.28 * (dy * np.cos(angle) + dx * np.sin(angle)))
            frame += inside[..., None] * (colour - frame)
    return np.rint(clip * 255).astype(np.uint8)


def cache_folder() -> Path:
    """Where this user's programs keep what they can make again."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ltx2"
