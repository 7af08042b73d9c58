"""The specification's known traps in text encoder, connector and transformer, one by one.

Each test compares the library with its rule and shows that the known mistake would be noticed.
VAE, sampling and files: test_traps_video.py. Out of scope: the upsampler (trap 21), not built.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rules
from numpy.typing import NDArray
from parity import Arrays, golden, run, run_dit
from rules import Weights, follows
from tolerance import nmse

Array = NDArray[np.generic]
Tiny = dict[str, Path]
Encoder = tuple[Weights, dict[str, int]]

# ---- Gemma


@pytest.fixture(scope="module")
def encoder(tiny: Tiny) -> Encoder:
    gemma = tiny["base"].parent / "gemma"
    config = json.loads((gemma / "config.json").read_text())["text_config"]
    return rules.load(*sorted(gemma.glob("*.safetensors"))), config


@pytest.fixture(scope="module")
def states(tiny: Tiny, folder: Path) -> Array:
    ids = golden("base-gemma")["long.ids"]
    return run("text-encoder", [tiny["base"].parent], folder / "gemma", ids=ids)["states"]


def tell_states(states: Array, encoder: Encoder, *mistakes: str) -> None:
    ids = golden("base-gemma")["long.ids"]
    follows(states, lambda wrong: rules.gemma(*encoder, ids, wrong), *mistakes)


def test_gemma_scales_attention_once(states: Array, encoder: Encoder) -> None:
    tell_states(states, encoder, "scaled twice")


def test_gemma_s_norms_multiply_by_one_plus_the_weight(states: Array, encoder: Encoder) -> None:
    tell_states(states, encoder, "norms without 1")


def test_gemma_s_local_layers_turn_by_another_theta_and_undivided(
    states: Array, encoder: Encoder
) -> None:
    tell_states(
        states,
        encoder,
        "theta 1e6 in every layer",
        "local positions divided by 8",
        "global positions not divided",
    )


def test_gemma_s_last_state_is_the_normalised_one(states: Array, encoder: Encoder) -> None:
    tell_states(states, encoder, "last state not normalised")


def test_gemma_normalises_q_and_k_per_head(states: Array, encoder: Encoder) -> None:
    tell_states(states, encoder, "q and k norm over all heads")


# ---- projection and connector


@pytest.fixture(scope="module")
def context(tiny: Tiny, folder: Path) -> Arrays:
    want = golden("base-gemma")
    states = np.stack([want[f"prompt.S{i}"] for i in range(8)])
    have = run("connector", [tiny["base"].parent], folder / "connector", states=states)
    return {**have, "states": states}


def test_the_projection_s_columns_have_the_layer_fastest(context: Arrays, weights: Weights) -> None:
    follows(
        context["features"].squeeze(),
        lambda wrong: rules.features(weights, context["states"], wrong),
        "layer slowest",
        "result scaled with the bias",
    )


def tell_context(context: Arrays, weights: Weights, *mistakes: str) -> None:
    text = rules.features(weights, context["states"])
    follows(
        context["context"],
        lambda wrong: rules.connector(weights, text, 32, 2, wrong),
        *mistakes,
    )


def test_connector_blocks_normalise_twice_and_its_rows_have_rms_1(
    context: Arrays, weights: Weights
) -> None:
    tell_context(
        context,
        weights,
        "no norm before attention",
        "no norm before feed forward",
        "no final norm",
    )
    sizes = np.sqrt((context["context"].astype(np.float64) ** 2).mean(-1))
    assert abs(sizes - 1).max() < 1e-4


def test_text_comes_first_then_registers_at_their_absolute_places(
    context: Arrays, weights: Weights
) -> None:
    assert len(context["states"][0]) == 11  # neither 16 nor 32, the registers and rows
    tell_context(context, weights, "registers first", "registers from the first")


# ---- transformer


@pytest.fixture(scope="module")
def image(tiny: Tiny, folder: Path) -> Array:
    # Six tokens are given, one is half given, five are free.
    return run_dit(tiny["base"], folder / "dit", golden("base-dit"))["velocity"]


def tell_velocity(
    have: Array, weights: Weights, *mistakes: str, context: Array | None = None
) -> None:
    g = golden("base-dit")
    middles = g["positions"].mean(-1, dtype=np.float64)
    text = g["context"] if context is None else context
    given = (weights, g["latent"], g["mask"], middles, text, float(g["sigma"][0]), 4)
    follows(have, lambda wrong: rules.dit(*given, wrong), *mistakes)


def test_the_head_subtracts_the_mean(image: Array, weights: Weights) -> None:
    tell_velocity(image, weights, "rms in the head")


def test_every_head_has_its_own_angles_and_padding_stands_in_front(
    image: Array, weights: Weights
) -> None:
    tell_velocity(image, weights, "one table for all heads", "padding behind", "axis slowest")


def test_frequencies_include_both_ends_and_angles_run_from_minus_f(
    image: Array, weights: Weights
) -> None:
    tell_velocity(image, weights, "last frequency left out", "no half pi", "from zero")


def test_rotation_pairs_the_halves_of_a_head(image: Array, weights: Weights) -> None:
    tell_velocity(image, weights, "interleaved")


def test_q_and_k_are_normalised_over_all_heads_together(image: Array, weights: Weights) -> None:
    tell_velocity(image, weights, "q and k norm per head")


def test_the_gate_is_twice_a_sigmoid_of_the_query_side_before_to_out(
    image: Array, weights: Weights
) -> None:
    tell_velocity(image, weights, "gate without 2", "gate of keys", "gate after to_out")


def test_context_is_shifted_and_scaled_but_not_normalised(
    weights: Weights, tiny: Tiny, folder: Path
) -> None:
    want = golden("base-dit")
    context = want["context"] * np.float32(1.7)  # its rows do not have RMS 1
    have = run_dit(tiny["base"], folder / "context", want, context=context, taps=0)
    mistakes = ("context normalised", "context not modulated", "context scale, shift")
    tell_velocity(have["velocity"], weights, *mistakes, context=context)


def test_tables_are_shift_scale_gate_and_the_head_s_shift_scale(
    image: Array, weights: Weights
) -> None:
    tell_velocity(
        image,
        weights,
        "main table scale, shift, gate",
        "main table gate first",
        "text rows before feed forward",
        "head scale, shift",
    )


def test_the_head_adds_the_embedded_timestep_before_silu(image: Array, weights: Weights) -> None:
    tell_velocity(image, weights, "head after silu", "head without e")


def test_the_sinusoid_has_cosines_first_over_128_of_1000_sigma(
    image: Array, weights: Weights
) -> None:
    tell_velocity(image, weights, "sine first", "exponent over 127", "timestep not times 1000")


def test_timesteps_are_per_token_but_the_prompt_s_is_sigma(image: Array, weights: Weights) -> None:
    tell_velocity(
        image,
        weights,
        "one timestep for all tokens",
        "prompt at the token's timestep",
        "head at sigma",
    )


def test_one_timestep_given_per_token_is_one_timestep(tiny: Tiny, folder: Path) -> None:
    # Tokens at almost one value take the per-token path, at one the scalar path.
    want = golden("base-dit")
    mask = np.ones_like(want["mask"])
    scalar = run_dit(tiny["base"], folder / "scalar", want, mask=mask)
    mask[1::2] -= np.float32(6e-8)
    tokens = run_dit(tiny["base"], folder / "tokens", want, mask=mask)
    assert scalar["adaln_single"].size == 9 * 128
    assert tokens["adaln_single"].size == 2 * 9 * 128
    assert nmse(tokens["velocity"], scalar["velocity"]) < 2e-10  # measured 3.3e-11


def test_audio_tensors_are_passed_over(tiny: Tiny, folder: Path, image: Array) -> None:
    names = [set(rules.load(tiny[name])) for name in ("base", "distilled")]
    audio = names[0] - names[1]  # else the same weights
    assert len(audio) > 30
    assert all("audio" in name or "vocoder" in name or "a2v" in name for name in audio)
    have = run_dit(tiny["distilled"], folder / "without", golden("base-dit"), taps=0)
    assert np.array_equal(have["velocity"], image)
