"""The kernels' variants as a user meets them; their arithmetic is tested natively."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CLIP = """
import sys, numpy, ltx2
with ltx2.Session() as session:
    size = dict(width=128, height=128, frames=9, audio=False)
    video = session.t2v("a red circle moves right", steps=4, seed=1, **size)
numpy.save(sys.argv[1], video.latents)
"""


def run(isa: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CLIP, str(folder / f"{isa}.npy")],
        env={**os.environ, "LTX2_ISA": isa},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("command")
def test_an_instruction_set_that_is_not_there_is_an_error_at_open(tmp_path: Path) -> None:
    result = run("abacus", tmp_path)
    assert "DeviceError" in result.stderr
    assert "LTX2_ISA: abacus does not run here; what does: portable" in result.stderr


@pytest.mark.usefixtures("command")
def test_every_instruction_set_draws_the_same_clip(tmp_path: Path) -> None:
    import numpy as np

    names = run("abacus", tmp_path).stderr.split("what does: ")[1].split("\n")[0].split(", ")
    clips = {}
    for name in names:
        result = run(name, tmp_path)
        assert result.returncode == 0, result.stderr
        clips[name] = np.load(tmp_path / f"{name}.npy").astype(np.float64)
    plain = clips["portable"]
    for name, clip in clips.items():
        # Q5_1 weights meet F32 or 8-bit activations: measured 3.0e-4 at most.
        difference = ((clip - plain) ** 2).sum() / (plain**2).sum()
        print(name, difference)
        assert difference < 1e-3, name
