"""Tells which scene a clip shows: a linear classifier of small pictures, trained on drawings.

The trained one is kept in a file of some kB, so that looking at a clip needs NumPy alone.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

KINDS = ("shapes", "sunset", "day", "night", "cat left", "cat right")
GRID, STILLS = 16, (0.1, 0.5, 0.9)  # cells a side; when a clip is looked at
RIDGE = 3.0


def features(frames: np.ndarray) -> np.ndarray:
    """What is seen of frames [frames, height, width, 3]: three stills of 16×16 cells."""
    count, height, width, _ = frames.shape
    rows, columns = (np.linspace(0, n, GRID + 1).astype(int) for n in (height, width))
    cells = []
    for share in STILLS:
        still = frames[round(share * (count - 1))].astype(np.float32) / 255
        sums = np.add.reduceat(np.add.reduceat(still, rows[:-1], 0), columns[:-1], 1)
        cells.append(sums / (np.diff(rows)[:, None, None] * np.diff(columns)[None, :, None]))
    first, middle, last = cells
    return np.concatenate([middle.ravel(), (last - first).ravel(), [1.0]])


class Teller:
    """Says the kind of a clip."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def __call__(self, frames: np.ndarray) -> str:
        return KINDS[int((features(frames) @ self.weights).argmax())]

    @classmethod
    def load(cls, path: Path) -> Teller:
        return cls(np.load(path)["weights"].astype(np.float32))


def kind_of(scene: object) -> str:
    """The kind of a scene of `scenes`."""
    light, direction = getattr(scene, "light", None), getattr(scene, "direction", None)
    return light or (f"cat {direction}" if direction else "shapes")


def train(path: Path, count: int = 1200, seed: int = 5) -> float:
    """Writes a classifier trained on `count` drawings; returns its share right on others."""
    from drawing import draw
    from world import training_scene

    rng = np.random.default_rng(seed)
    rows, kinds = [], []
    for _ in range(count + count // 4):
        scene = training_scene(rng, scenes=0.75)
        clip = draw([scene], 5, 64, 64, fps=5 / 2.0)[0]
        frames = ((clip + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 3, 0).numpy()
        rows.append(features(frames))
        kinds.append(KINDS.index(kind_of(scene)))
    x, y = np.stack(rows), np.eye(len(KINDS))[kinds]
    known, wanted = x[:count], y[:count]
    normal = known.T @ known + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(normal, known.T @ wanted).astype(np.float16)
    np.savez_compressed(path, weights=weights)
    said = (x[count:] @ weights.astype(np.float32)).argmax(1)
    return float((said == np.array(kinds[count:])).mean())
