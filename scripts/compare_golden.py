#!/usr/bin/env python3
"""Golden files made here, compared with those of tests/golden: compare_golden.py FOLDER

Names, shapes, types and integers must be equal. Floats may differ as they do where PyTorch sums in
another order, on another processor or with another number of threads, and bytes of pictures by one,
where such a float is rounded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
# Measured 5.1e-13 between two runs on one processor. A tensor that is scaled by a tenth moves its
# component by 4e-8 or more (docs/testing.md).
LIMIT = 1e-10


def nmse(made: np.ndarray, kept: np.ndarray) -> float:
    a, b = made.astype(np.float64), kept.astype(np.float64)
    power = float((b * b).sum())
    return float(((a - b) ** 2).sum()) / power if power else float(np.abs(a).max(initial=0))


def worst(made: Path) -> tuple[float, str]:
    """The largest difference of a file's arrays, and of which."""
    kept = GOLDEN / made.name
    with np.load(made) as new, np.load(kept) as old:
        if sorted(new.files) != sorted(old.files):
            raise SystemExit(f"{made.name}: other arrays: {set(new.files) ^ set(old.files)}")
        for key in old.files:
            if (new[key].dtype, new[key].shape) != (old[key].dtype, old[key].shape):
                raise SystemExit(f"{made.name}: {key}: another type or shape")
            apart = np.abs(new[key].astype(np.float64) - old[key]).max(initial=0)
            if apart > {"float32": np.inf, "uint8": 1}.get(old[key].dtype.name, 0):
                raise SystemExit(f"{made.name}: {key}: other values")
        floats = [key for key in old.files if old[key].dtype == np.float32]
        return max(((nmse(new[key], old[key]), key) for key in floats), default=(0.0, "integers"))


def main(folder: str) -> None:
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        raise SystemExit(f"{folder}: holds no golden files")
    largest = 0.0
    for file in files:
        difference, key = worst(file)
        print(f"{file.stem}: NMSE {difference:.1e} at most, of {key}")
        largest = max(largest, difference)
    if not largest <= LIMIT:
        raise SystemExit(f"NMSE {largest:.1e} is above {LIMIT:.0e}")


if __name__ == "__main__":
    main(*sys.argv[1:])
