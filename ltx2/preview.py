"""Small pictures of latents: each cell becomes 8 x 8 pixels by a linear map.

The map is fitted to the model's own video VAE: its encoder is given coloured shapes that are drawn
here, and least squares with a ridge finds what gives their pixels, scaled down, back from their
latents. The first latent frame stands for one frame and has a map of its own; the others
stand for eight, whose mean they show. A map is fitted once for each VAE and kept in the user's
cache folder.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import cache, tensors
from .errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .pictures import Pixels

_log = logging.getLogger("ltx2")

CELL = 8  # pixels of the preview for a latent cell, across
_RIDGE = 0.1  # of the mean square of a channel
_ACROSS, _FRAMES, _SIDE = 4, 9, 128  # of 16 clips beside each other; two latent frames


@dataclass(frozen=True, eq=False)
class Colours:
    """The maps of the first latent frame and of the others: [channels + 1, CELL * CELL * 3]."""

    first: NDArray[np.float32]
    later: NDArray[np.float32]

    @staticmethod
    def of(vae: str, encode: Callable[[Pixels], NDArray[np.float32]]) -> Colours:
        """From the cache, by the VAE's fingerprint, or fitted with `encode`: frames -> latents."""
        with suppress(Error, OSError):
            _, arrays = tensors.read(cache.folder() / f"preview-{vae}", "preview")
            if arrays.keys() == {"first", "later"}:
                return Colours(arrays["first"], arrays["later"])
        _log.info("preview: its map is fitted to this video VAE, once")
        colours = fit(encode)
        try:
            path = cache.folder() / f"preview-{vae}"
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
        rounded: Pixels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
        return rounded


def fit(encode: Callable[[Pixels], NDArray[np.float32]]) -> Colours:
    clip = mosaic()
    latents = np.moveaxis(encode(clip), 0, -1)
    cells, height, width, _ = latents.shape
    rows, columns = height * CELL, width * CELL
    shape = (_FRAMES, rows, clip.shape[1] // rows, columns, clip.shape[2] // columns, 3)
    small = clip.reshape(shape).mean((2, 4)) / 255
    later = small[1:].reshape(cells - 1, -1, rows, columns, 3).mean(1)
    return Colours(_least_squares(latents[:1], small[:1]), _least_squares(latents[1:], later))


def _least_squares(latents: NDArray[Any], pixels: NDArray[Any]) -> NDArray[np.float32]:
    frames, height, width, channels = latents.shape
    x = latents.reshape(-1, channels).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], 1)
    y = pixels.reshape(frames, height, CELL, width, CELL, 3).swapaxes(2, 3).reshape(len(x), -1)
    ridge = np.full(channels + 1, _RIDGE * len(x) * (x[:, :-1] ** 2).mean())
    ridge[-1] = 0
    solved = np.linalg.solve(x.T @ x + np.diag(ridge), x.T @ y)
    return np.ascontiguousarray(solved, np.float32)


def mosaic() -> Pixels:
    """A clip of clips, side by side."""
    rows = [range(first, first + _ACROSS) for first in range(0, _ACROSS**2, _ACROSS)]
    return np.concatenate([np.concatenate([*map(drawn, row)], 2) for row in rows], 1)


def drawn(number: int) -> Pixels:
    """A clip: up to three shapes that drift over a plain ground."""
    draw = np.random.default_rng(number)
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    clip = np.empty((_FRAMES, _SIDE, _SIDE, 3))
    clip[:] = _colour(draw)
    for _ in range(draw.integers(1, 4)):
        centre, speed, colour = draw.random(2), draw.normal(0, 0.5, 2), _colour(draw)
        size, edge, power = (
            draw.uniform(0.1, 0.4),
            draw.choice([0.01, 0.02]),
            draw.choice([1, 2, 8]),
        )
        for time, frame in enumerate(clip):
            dy, dx = abs((y, x) - (centre + speed * (time / _FRAMES - 0.5))[:, None, None])
            distance = (dy**power + dx**power) ** (1 / power) - size
            inside = 1 / (1 + np.exp((distance / edge).clip(-50, 50)))
            frame += inside[..., None] * (colour - frame)
    return np.rint(clip * 255).astype(np.uint8)


def _colour(draw: np.random.Generator) -> NDArray[Any]:
    """Often a strong one, which a map is most easily wrong about."""
    return np.where(draw.random(3) < 0.6, draw.integers(0, 2, 3), draw.random(3))
