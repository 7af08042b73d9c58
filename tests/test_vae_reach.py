"""How far the decoder sees: from the block list, and from what changes when one latent does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity import run
from tiny_geometries import model_config

STRIDES = {"compress_time": (2, 1), "compress_space": (1, 2), "compress_all": (2, 2)}


def reach(blocks: list[list[Any]]) -> tuple[int, int]:
    """Latents on each side, in time and in space, that one output value depends on."""
    time = space = 1  # conv_out
    for kind, options in blocks:  # the list is in the encoder's order: backwards for the decoder
        if kind == "res_x":
            time, space = time + 2 * options["num_layers"], space + 2 * options["num_layers"]
        else:  # a finer grid's distance is at most this on the coarse one; then the convolution
            t, s = STRIDES[kind]
            time, space = -(-time // t) + 1, -(-space // s) + 1
    return time + 1, space + 1  # conv_in


def test_of_the_released_model() -> None:
    blocks = model_config("full")["vae"]["decoder_blocks"]
    assert reach(blocks) == (14, 16)  # as docs/decisions/0001-streamed-decode.md says


@pytest.mark.parametrize("axis", ["time", "space"])
@pytest.mark.parametrize("name", ["base", "odd"])
def test_what_changes_is_within_reach(
    name: str, axis: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    config = model_config(name)["vae"]
    side = reach(config["decoder_blocks"])[axis == "space"]
    count, channels = 2 * side + 5, config["latent_channels"]
    shape = (count, 2, 2, channels) if axis == "time" else (1, 2, count, channels)
    latent = np.random.default_rng(5).standard_normal(shape, np.float32)
    other = latent.copy()
    middle = count // 2
    np.moveaxis(other, 0 if axis == "time" else 2, 0)[middle] += 1.0
    out = [
        run("vae-stream", [tiny[name]], tmp_path / str(i), patches=x, taps=0)["out"]
        for i, x in enumerate((latent, other))
    ]
    changed = (
        np.moveaxis(out[0] != out[1], 0 if axis == "time" else 2, 0)
        .reshape(len(out[0]) if axis == "time" else out[0].shape[2], -1)
        .any(axis=1)
    )
    at = changed.nonzero()[0]
    # Latent i makes frames 8i-7..8i, or 8 columns of 4 x 4 patches.
    first, last = ((at[[0, -1]] + 7) // 8 if axis == "time" else at[[0, -1]] // 8) - middle
    assert -side <= first < -side // 2
    assert side // 2 < last <= side
