"""The transformer of video and sound against the official code, on tiny random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from parity import Arrays, golden, run
from tolerance import NMSE, nmse

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRIES = ["joint", "duet"]
INPUTS = ("latent", "context", "positions", "mask")
LIMIT = NMSE["dit", "F32"].limit


def velocities(name: str, tiny: dict[str, Path], folder: Path, **changed: object) -> Arrays:
    want = golden(f"{name}-sound")
    inputs: dict[str, object] = {"sigma": want["sigma"]}
    for prefix in ("", "audio."):
        inputs |= {prefix + key: want[prefix + key] for key in INPUTS}
        inputs[prefix + "mask"] = np.ones_like(want[prefix + "mask"])
    return run("dit", [tiny[name]], folder, **{**inputs, **changed})


def compare(have: Arrays, want: Arrays, theirs: str, ours: str = "") -> None:
    for prefix in ("", "audio."):
        error = nmse(have[f"{prefix}{ours}velocity"], want[f"{prefix}{theirs}velocity"])
        print(f"{prefix}{theirs}velocity {error:.2g}")
        assert error <= LIMIT, prefix


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_sound_reads_text_of_its_own(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-text")
    for prefix, component in (("", "connector"), ("audio.", "audio-connector")):
        have = run(component, [tiny[name]], tmp_path, states=want["states"])
        error = nmse(have["context"], want[f"{prefix}context"])
        print(f"{component} {error:.2g}")
        assert error <= NMSE["connector", "F32"].limit


@pytest.mark.parametrize("name", GEOMETRIES)
def test_from_text_alone(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-sound")
    have = velocities(name, tiny, tmp_path, stg_blocks=want["stg_blocks"])
    for passed in ("", "perturbed.", "isolated."):
        compare(have, want, passed, passed)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_each_token_has_its_timestep(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-sound")
    masks = {key: want[key] for key in ("mask", "audio.mask")}
    compare(velocities(name, tiny, tmp_path, **masks), want, "i2v.")


@pytest.mark.parametrize("name", GEOMETRIES)
def test_sound_that_is_given_has_no_noise(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-sound")
    still = {"audio.mask": np.zeros_like(want["audio.mask"])}
    compare(velocities(name, tiny, tmp_path, **still), want, "given.")
