"""Schedules to the bit, and guidance, against the official code."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from parity import golden, run
from tolerance import NMSE, nmse

STEPS = range(2, 201)


@pytest.mark.parametrize("name", ["ltx2", "linear_quadratic"])
def test_a_schedule_has_the_official_bits_for_every_number_of_steps(
    name: str, tmp_path: Path
) -> None:
    want = golden("all-sampler")
    ends = np.cumsum([n + 1 for n in STEPS])[:-1]
    all_steps = run("schedule", [], tmp_path, schedule=name, first=STEPS[0], last=STEPS[-1])
    have = dict(zip(STEPS, np.split(all_steps["sigmas"], ends), strict=True))
    shown = [n for n in STEPS if f"sigmas.{name}.{n}" in want]
    assert len(shown) == 8
    for n in shown:
        assert have[n].tobytes() == want[f"sigmas.{name}.{n}"].tobytes(), n
    sums = {n: zlib.crc32(have[n].astype("<f4").tobytes()) for n in STEPS}
    official = want[f"sums.{name}"].view(np.uint32)
    assert sums == dict(zip(STEPS, official.tolist(), strict=True))


def test_the_distilled_schedule_has_the_official_bits(tmp_path: Path) -> None:
    have = run("schedule", [], tmp_path, schedule="distilled", first=8, last=8)["sigmas"]
    assert have.tobytes() == golden("all-sampler")["sigmas.distilled"].tobytes()


@pytest.mark.parametrize("case", ["3.1.0.7", "3.0.0", "1.1.0", "2.5.0.5.1"])
def test_guidance_is_the_official_one(case: str, tmp_path: Path) -> None:
    want = golden("all-sampler")
    scale, stg, rescale = {
        "3.1.0.7": (3, 1, 0.7), "3.0.0": (3, 0, 0), "1.1.0": (1, 1, 0), "2.5.0.5.1": (2.5, 0.5, 1),
    }[case]  # fmt: skip
    inputs = {name: want[name] for name in ("cond", "uncond", "perturbed")}
    have = run("guidance", [], tmp_path, scale=scale, stg=stg, rescale=rescale, **inputs)
    assert nmse(have["guided"], want[f"guided.{case}"]) <= NMSE["guidance", "F32"].limit
