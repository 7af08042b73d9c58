"""Fixtures that several files share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import make_tiny

GEOMETRIES = ("base", "odd", "plain", "distilled")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Geometry -> its tiny checkpoint; `gemma/` lies beside each."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        name: make_tiny.generate(name, folder / name) / f"ltx-tiny-{name}.safetensors"
        for name in GEOMETRIES
    }
