"""The DiT against the official code, tap by tap, on the tiny checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parity import Arrays, golden, run_dit
from tolerance import NMSE, nmse

GEOMETRIES = ["base", "odd", "plain", "heads", "deep", "bf16", "wide"]


def compare(have: Arrays, want: Arrays, prefix: str, ours: str = "", kind: str = "F32") -> None:
    deep = len(want["stg_blocks"]) == 1 and want["stg_blocks"][0] == 28
    limit = NMSE["dit.deep" if deep else "dit", kind].limit
    names = [n for n in want if n.startswith(prefix) and ours + n.removeprefix(prefix) in have]
    assert any(n.endswith("velocity") for n in names)
    for name in names:
        mine = have[ours + name.removeprefix(prefix)].squeeze()
        theirs = want[name].squeeze()
        if mine.shape != theirs.shape:  # a row for each distinct timestep, in order of appearance
            masks = want["mask"] if prefix == "i2v." else np.ones(len(theirs))
            order = list(dict.fromkeys(masks))
            mine = mine.reshape(-1, theirs.shape[-1])[[order.index(m) for m in masks]]
        assert nmse(mine, theirs) <= limit, name


@pytest.mark.parametrize("name", GEOMETRIES)
def test_text_to_video(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-dit")
    full = np.ones_like(want["mask"])
    have = run_dit(tiny[name], tmp_path, want, mask=full)
    plain = {k: v for k, v in want.items() if "." not in k or k.startswith("transformer_blocks")}
    compare(have, plain, "")


@pytest.mark.parametrize("name", GEOMETRIES)
def test_image_to_video_has_a_timestep_per_token(
    name: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    want = golden(f"{name}-dit")
    compare(run_dit(tiny[name], tmp_path, want), want, "i2v.")


@pytest.mark.parametrize("name", GEOMETRIES)
def test_perturbed_pass_shares_what_comes_before(
    name: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    want = golden(f"{name}-dit")
    full = np.ones_like(want["mask"])
    have = run_dit(tiny[name], tmp_path, want, mask=full, stg_blocks=want["stg_blocks"])
    compare(have, want, "stg.", "perturbed.")
    plain = run_dit(tiny[name], tmp_path / "plain", want, mask=full)
    assert np.array_equal(have["velocity"], plain["velocity"])


def test_weights_are_used_in_the_files_own_type(
    tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    want = golden("odd-dit")
    compare(run_dit(tiny["odd"], tmp_path, want), want, "i2v.", kind="BF16")
