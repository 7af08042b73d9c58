"""Which files a model is: paths, names of `ltx2 list`, LTX2_MODEL, or the demo."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from .errors import ModelError

StrPath: TypeAlias = str | os.PathLike[str]
Loras: TypeAlias = StrPath | Sequence[StrPath] | Mapping[StrPath, float]

DEMO = Path(__file__).resolve().with_name("demo")


def strengths_of(loras: Loras | None) -> dict[StrPath, float]:
    """By the files of adapters; of those that say nothing else, 1."""
    if isinstance(loras, Mapping):
        return dict(loras)
    return dict.fromkeys([loras] if isinstance(loras, (str, os.PathLike)) else loras or (), 1.0)


def model_files(model: StrPath | Sequence[StrPath] | None) -> Sequence[StrPath]:
    """Those that `Session(model)` opens."""
    if model is None and (named := os.environ.get("LTX2_MODEL")):
        pieces = named.split(os.pathsep)
        if all(map(os.path.lexists, pieces)):
            return pieces
        from . import hub

        return paths(hub.split(named))
    if model is None:
        return demo_files()
    return paths([model] if isinstance(model, (str, os.PathLike)) else list(model))


def demo_files() -> list[Path]:
    """The demo model's. Raises ModelError where this package has none."""
    files = sorted(DEMO.glob("*.gguf"))
    if not files:
        raise ModelError(f"model: the demo model is not in {DEMO}; name another")
    return files


def paths(given: Sequence[StrPath]) -> Sequence[StrPath]:
    """Paths and names of models as paths alone."""
    if all(isinstance(path, (str, os.PathLike)) and os.path.lexists(path) for path in given):
        return given
    from . import hub  # for names, which most runs need not know

    return hub.expanded(given)
