"""The specification's rules for text and transformer in numpy, each with its known mistakes.

`wrong` names one mistake to make: a test shows that the library follows the rule, not the mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors_file import read_safetensors
from tolerance import nmse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

F = NDArray[Any]
Weights = dict[str, F]
DIT = "model.diffusion_model."
CONNECTOR = DIT + "video_embeddings_connector."
RIGHT, WRONG = 2e-11, 2.5e-4  # NMSE at most and at least; measured 4e-12 and 9.6e-4


def follows(have: F, rule: Callable[[str], F], *mistakes: str) -> None:
    """`have` follows the rule; each mistake would show."""
    error = nmse(have, rule(""))
    assert error <= RIGHT, error
    for mistake in mistakes:
        with np.errstate(all="ignore"):
            assert not nmse(have, rule(mistake)) < WRONG, mistake


def load(*paths: Path) -> Weights:
    """Every tensor that is read, Gemma's under the names of a text-only model."""
    out: Weights = {}
    for path in paths:
        for name, (_, values) in read_safetensors(path)[0].items():
            out[name.removeprefix("language_model.model.")] = values
    return out


def linear(w: Weights, name: str, x: F) -> F:
    y: F = x.astype(np.float64) @ w[name + ".weight"].T.astype(np.float64)
    return y + w[name + ".bias"] if name + ".bias" in w else y


def rms(x: F, eps: float = 1e-6) -> F:
    y: F = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
    return y


def silu(x: F) -> F:
    y: F = x / (1 + np.exp(-x))
    return y


def gelu(x: F) -> F:
    y: F = x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return y


def softmax(x: F) -> F:
    e = np.exp(x - x.max(-1, keepdims=True))
    y: F = e / e.sum(-1, keepdims=True)
    return y


def rotary(at: F, limits: list[float], dim: int, heads: int, wrong: str = "") -> tuple[F, F]:
    """Positions [axes, tokens] -> cosines and sines [heads, tokens, dim / heads / 2]."""
    axes, tokens = at.shape
    count = dim // (2 * axes)
    last = count if wrong == "last frequency left out" else count - 1
    half = 1.0 if wrong == "no half pi" else np.pi / 2
    f = (half * 10000.0 ** (np.arange(count) / last)).astype(np.float32)
    part = (at / np.array(limits)[:, None]).astype(np.float32)
    part = part if wrong == "from zero" else 2 * part - 1
    angles = f[None, :, None] * part.T[:, None, :]
    if wrong == "axis slowest":
        angles = angles.swapaxes(1, 2)
    angles = angles.reshape(tokens, -1).astype(np.float64)
    pad = dim // 2 - angles.shape[1]
    angles = np.pad(angles, ((0, 0), (0, pad) if wrong == "padding behind" else (pad, 0)))
    angles = angles.reshape(tokens, heads, -1).swapaxes(0, 1)
    if wrong == "one table for all heads":
        angles = np.repeat(angles[:1], heads, 0)
    return np.cos(angles), np.sin(angles)


def rotate(x: F, table: tuple[F, F], wrong: str = "") -> F:
    c, s = table
    if wrong == "interleaved":
        a, b = x[..., ::2], x[..., 1::2]
        return np.stack([a * c - b * s, b * c + a * s], -1).reshape(x.shape)
    a, b = np.split(x, 2, -1)
    return np.concatenate([a * c - b * s, b * c + a * s], -1)


def _split(x: F, heads: int) -> F:
    y: F = x.reshape(len(x), heads, -1).swapaxes(0, 1)
    return y


def attention(
    w: Weights, p: str, a: F, kv: F, heads: int, table: tuple[F, F] | None, wrong: str = ""
) -> F:
    """The gated attention of transformer and connector; "values only" skips the softmax."""

    def norm(x: F, name: str) -> F:
        if wrong == "q and k norm per head":
            x = rms(_split(x, heads)).swapaxes(0, 1).reshape(x.shape)
            return x * w[p + name]
        return rms(x) * w[p + name]

    q = _split(norm(linear(w, p + ".to_q", a), ".q_norm.weight"), heads)
    k = _split(norm(linear(w, p + ".to_k", kv), ".k_norm.weight"), heads)
    v = _split(linear(w, p + ".to_v", kv), heads)
    if table:
        q, k = rotate(q, table, wrong), rotate(k, table, wrong)
    o = softmax(q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])) @ v
    o = v if wrong == "values only" else o
    source = kv[: len(a)] if wrong == "gate of keys" else a
    gate = 1 / (1 + np.exp(-linear(w, p + ".to_gate_logits", source)))
    gate = gate if wrong == "gate without 2" else 2 * gate
    wide = np.repeat(gate, q.shape[-1], 1)
    joined = o.swapaxes(0, 1).reshape(len(a), -1)
    if wrong == "gate after to_out":
        return linear(w, p + ".to_out.0", joined) * wide
    return linear(w, p + ".to_out.0", joined * wide)


def feed_forward(w: Weights, p: str, x: F) -> F:
    return linear(w, p + ".net.2", gelu(linear(w, p + ".net.0.proj", x)))


def embed(w: Weights, p: str, t: F, wrong: str = "") -> F:
    """Timesteps -> the embedded timestep, before SiLU."""
    step = np.arange(128) / (127 if wrong == "exponent over 127" else 128)
    u = t[:, None] * (1 if wrong == "timestep not times 1000" else 1000) * 10000.0**-step
    parts = [np.cos(u), np.sin(u)]
    x = np.concatenate(parts[::-1] if wrong == "sine first" else parts, 1)
    e = linear(w, p + ".emb.timestep_embedder.linear_1", x)
    return linear(w, p + ".emb.timestep_embedder.linear_2", silu(e))


_ORDERS = {
    "main table scale, shift, gate": [1, 0, 2, 4, 3, 5, 7, 6, 8],
    "main table gate first": [1, 2, 0, 4, 5, 3, 7, 8, 6],
    "text rows before feed forward": [0, 1, 2, 6, 7, 8, 3, 4, 5],
}


def _modulation(w: Weights, mask: F, sigma: float, wrong: str) -> tuple[F, F, F]:
    """Main rows [9, tokens, D], prompt rows [2, D] and the embedded timestep [tokens, D]."""
    tau = np.full_like(mask, sigma) if wrong == "one timestep for all tokens" else mask * sigma
    e = embed(w, DIT + "adaln_single", tau, wrong)
    rows = linear(w, DIT + "adaln_single.linear", silu(e)).reshape(len(mask), 9, -1).swapaxes(0, 1)
    at = np.array([tau[0] if wrong == "prompt at the token's timestep" else sigma])
    p = embed(w, DIT + "prompt_adaln_single", at, wrong)
    prompt = linear(w, DIT + "prompt_adaln_single.linear", silu(p)).reshape(2, -1)
    return rows, prompt, e


def dit(
    w: Weights, latent: F, mask: F, at: F, context: F, sigma: float, heads: int, wrong: str = "",
    values_only: int | None = None,
) -> F:  # fmt: skip
    """Velocity; `at` holds the positions' middles [3, tokens], `values_only` a perturbed block."""
    x = linear(w, DIT + "patchify_proj", latent)
    rows, prompt, e = _modulation(w, mask, sigma, wrong)
    table = rotary(at, [20, 2048, 2048], x.shape[1], heads, wrong)
    i = 0
    while f"{DIT}transformer_blocks.{i}.scale_shift_table" in w:
        p = f"{DIT}transformer_blocks.{i}."
        m = w[p + "scale_shift_table"][:, None] + rows
        m = m[_ORDERS.get(wrong, list(range(9)))]
        c0, c1 = w[p + "prompt_scale_shift_table"] + prompt
        if wrong == "context scale, shift":
            c0, c1 = c1, c0
        text = rms(context) if wrong == "context normalised" else context
        text = text if wrong == "context not modulated" else text * (1 + c1) + c0
        a = rms(x) * (1 + m[1]) + m[0]
        how = "values only" if i == values_only else wrong
        x = x + attention(w, p + "attn1", a, a, heads, table, how) * m[2]
        a = rms(x) * (1 + m[7]) + m[6]
        x = x + attention(w, p + "attn2", a, text, heads, None, wrong) * m[8]
        x = x + feed_forward(w, p + "ff", rms(x) * (1 + m[4]) + m[3]) * m[5]
        i += 1
    return _head(w, x, e, mask, sigma, wrong)


def _head(w: Weights, x: F, e: F, mask: F, sigma: float, wrong: str) -> F:
    centred = x if wrong == "rms in the head" else x - x.mean(-1, keepdims=True)
    if wrong == "head after silu":
        e = silu(e)
    if wrong == "head at sigma":
        e = embed(w, DIT + "adaln_single", np.full_like(mask, sigma))
    shift, scale = w[DIT + "scale_shift_table"][:, None] + (e if wrong != "head without e" else 0)
    if wrong == "head scale, shift":
        shift, scale = scale, shift
    return linear(w, DIT + "proj_out", rms(centred) * (1 + scale) + shift)


def features(w: Weights, states: F, wrong: str = "") -> F:
    """States [layers + 1, tokens, hidden] -> [tokens, D]."""
    n = rms(states.astype(np.float64))
    order = (1, 0, 2) if wrong == "layer slowest" else (1, 2, 0)
    x = n.transpose(order).reshape(n.shape[1], -1)
    name = "text_embedding_projection.video_aggregate_embed"
    scale = float(np.sqrt(w[name + ".bias"].size / states.shape[2]))
    if wrong == "result scaled with the bias":
        return linear(w, name, x) * scale
    return linear(w, name, x * scale)


def connector(w: Weights, text: F, rows: int, heads: int, wrong: str = "") -> F:
    """Projected tokens -> the context the transformer sees."""
    registers = w[CONNECTOR + "learnable_registers"]
    tiled = np.tile(registers, (rows // len(registers), 1))
    rest = tiled[len(text) :]
    if wrong == "registers from the first":
        rest = tiled[: rows - len(text)]
    x = np.concatenate([rest, text] if wrong == "registers first" else [text, rest])
    table = rotary(np.arange(float(rows))[None], [4096], x.shape[1], heads)
    i = 0
    while f"{CONNECTOR}transformer_1d_blocks.{i}.attn1.to_q.weight" in w:
        p = f"{CONNECTOR}transformer_1d_blocks.{i}."
        a = x if wrong == "no norm before attention" else rms(x)
        x = x + attention(w, p + "attn1", a, a, heads, table, wrong)
        x = x + feed_forward(w, p + "ff", x if wrong == "no norm before feed forward" else rms(x))
        i += 1
    return x if wrong == "no final norm" else rms(x)


def _gemma_attention(w: Weights, p: str, a: F, number: int, config: Any, wrong: str) -> F:
    heads, dim = config["num_attention_heads"], config["head_dim"]
    plus = 0.0 if wrong == "norms without 1" else 1.0

    def part(name: str, groups: int) -> F:
        x = _split(linear(w, f"{p}self_attn.{name}_proj", a), groups)
        if name == "v":
            return x
        weight = plus + w[f"{p}self_attn.{name}_norm.weight"]
        if wrong == "q and k norm over all heads":
            flat = rms(x.swapaxes(0, 1).reshape(len(a), -1))
            return _split(flat, groups) * weight
        return rms(x) * weight

    spread = (number + 1) % 6 == 0
    theta = 1e6 if spread or wrong == "theta 1e6 in every layer" else 1e4
    factor = 8.0 if spread or wrong == "local positions divided by 8" else 1.0
    if wrong == "global positions not divided":
        factor = 1.0
    angle = np.arange(len(a))[:, None] / factor * theta ** (-2 * np.arange(dim // 2) / dim)
    table = np.cos(angle), np.sin(angle)
    groups = config["num_key_value_heads"]
    q, k, v = part("q", heads), part("k", groups), part("v", groups)
    k, v = (np.repeat(x, heads // groups, 0) for x in (k, v))
    scale = dim ** (-1.0 if wrong == "scaled twice" else -0.5)
    scores = rotate(q, table) @ rotate(k, table).swapaxes(1, 2) * scale
    future = np.triu(np.ones(scores.shape[1:], bool), 1)
    o = softmax(np.where(future, -np.inf, scores)) @ v
    return linear(w, p + "self_attn.o_proj", o.swapaxes(0, 1).reshape(len(a), -1))


def gemma(w: Weights, config: Any, ids: F, wrong: str = "") -> F:
    """Ids -> the states [layers + 1, tokens, hidden]."""
    plus = 0.0 if wrong == "norms without 1" else 1.0
    h = w["embed_tokens.weight"][ids] * np.sqrt(config["hidden_size"])
    states = []
    for i in range(config["num_hidden_layers"]):
        p = f"layers.{i}."
        states.append(h)

        def norm(x: F, name: str, p: str = p) -> F:
            return rms(x) * (plus + w[f"{p}{name}_layernorm.weight"])

        o = _gemma_attention(w, p, norm(h, "input"), i, config, wrong)
        h = h + norm(o, "post_attention")
        m = norm(h, "pre_feedforward")
        inner = gelu(linear(w, p + "mlp.gate_proj", m)) * linear(w, p + "mlp.up_proj", m)
        h = h + norm(linear(w, p + "mlp.down_proj", inner), "post_feedforward")
    last = h if wrong == "last state not normalised" else rms(h) * (plus + w["norm.weight"])
    return np.stack([*states, last])
