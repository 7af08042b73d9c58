"""The true widths against the official code: 4096 wide, two blocks, the real VAE.

`scripts/make_golden.py --full-width build/full` makes 3.8 GB of weights and their golden files;
then `LTX2_FULL_WIDTH=build/full pytest -m slow tests/test_full_width.py`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import test_parity_e2e
from test_parity_e2e import generate
from tolerance import FRAMES_PSNR, NMSE, nmse, psnr

FOLDER = Path(os.environ.get("LTX2_FULL_WIDTH", "build/full"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "full-e2e.npz").exists(),
        reason="no full-width golden files; scripts/make_golden.py --full-width makes them",
    ),
]


@pytest.mark.parametrize("kind", ["F32", "BF16"])
@pytest.mark.parametrize("case", ["dev.t2v", "i2v.resized"])
def test_frames_equal_the_official_codes(
    case: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1" if kind == "F32" else "0")
    monkeypatch.setattr(test_parity_e2e, "THREADS", 0)
    notes = json.loads((FOLDER / "full-e2e.json").read_text())
    with np.load(FOLDER / "full-e2e.npz") as data:
        want = dict(data)
    video = generate(FOLDER / "full", notes, want, case)
    assert video.latents is not None
    dev = nmse(video.latents, want[f"{case}.latents"])
    db = psnr(video.frames, want[f"{case}.pixels"])
    print(f"{case} {kind}: latents NMSE {dev:.2e}, frames {db:.1f} dB")
    if kind == "F32":
        assert dev <= NMSE["latents", "F32"].limit
    assert db >= FRAMES_PSNR[kind].limit
