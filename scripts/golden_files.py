"""How a golden file is written: its arrays, and beside them what made them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def write(
    name: str,
    arrays: Mapping[str, Any],
    script: str,
    about: str,
    packages: Sequence[str],
    folder: Path = GOLDEN,
    **more: Any,
) -> None:
    """`script` made them, in float32, with these packages; `more` is stated besides."""
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    notes = {
        "command": f"python scripts/{script}",
        "about": about,
        "versions": {p: version(p) for p in packages} | {"python": platform.python_version()},
        "dtype": "float32",
        **more,
        "arrays": {k: [str(v.dtype), *v.shape] for k, v in sorted(arrays.items())},
    }
    (folder / f"{name}.json").write_text(json.dumps(notes, indent=1) + "\n", newline="\n")
    print(name, (folder / f"{name}.npz").stat().st_size)
