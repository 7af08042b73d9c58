"""Schedules to the bit, and guidance, against the official code."""

from __future__ import annotations

import itertools
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


def loop(name: str, sampler: str, folder: Path) -> dict[str, np.ndarray]:
    want = golden("all-loops")
    inputs: dict[str, object] = {"sigmas": want[f"{name}.sigmas"], "sampler": sampler}
    for stream in ("video", "audio"):
        inputs |= {
            f"{stream}.{key}": want[f"{stream}.{key}"] for key in ("latent", "clean", "mask")
        }
        inputs[f"{stream}.noise"] = want[f"{name}.noise.{stream}"]
    have = run("sample", [], folder, **inputs)
    return {stream: have[f"{stream}.latent"] for stream in ("video", "audio")}


@pytest.mark.parametrize("sampler", ["euler", "gradient_estimation", "res_2s"])
@pytest.mark.parametrize("name", ["short", "distilled"])
def test_samplers_are_the_official_loops(name: str, sampler: str, tmp_path: Path) -> None:
    want = golden("all-loops")
    for stream, latents in loop(name, sampler, tmp_path).items():
        error = nmse(latents, want[f"{name}.{sampler}.{stream}"])
        print(error)
        assert error <= NMSE["sampler", "F32"].limit, stream
    others = {"euler", "gradient_estimation", "res_2s"} - {sampler}
    for other in others:
        assert nmse(latents, want[f"{name}.{other}.{stream}"]) > 1e-5


def ancestral(want: dict[str, np.ndarray], name: str, stream: str) -> np.ndarray:
    """The rule in float64, with eta 1."""
    z, clean = (want[f"{stream}.{key}"].astype(np.float64) for key in ("latent", "clean"))
    mask = want[f"{stream}.mask"].astype(np.float64)[:, None]
    sigmas = want[f"{name}.sigmas"].astype(np.float64)
    for i, (sigma, after) in enumerate(itertools.pairwise(sigmas)):
        x0 = np.tanh(0.8 * z + 0.3) * (1 - 0.5 * sigma) + 0.1 * sigma
        x0 = x0 * mask + clean * (1 - mask)
        if after == 0:
            z = x0
            break
        down = after * after / sigma
        x = down / sigma * z + (1 - down / sigma) * x0
        scale = (1 - after) / (1 - down)
        fresh = np.sqrt(after**2 - down**2 * scale**2)
        z = (scale * x + fresh * want[f"{name}.noise.{stream}"][i]) * mask + clean * (1 - mask)
    return np.asarray(z)


@pytest.mark.parametrize("name", ["short", "distilled"])
def test_ancestral_euler_follows_its_rule(name: str, tmp_path: Path) -> None:
    want = golden("all-loops")
    for stream, latents in loop(name, "ancestral_euler", tmp_path).items():
        error = nmse(latents, ancestral(want, name, stream))
        print(error)
        assert error <= NMSE["sampler", "F32"].limit, stream
