"""How far a component may be from its golden file.

NMSE = |a-b|^2 / |b|^2. A row states the limit and, once measured on the tiny models, the worst
value seen; the limit is the issue's bar until then, and 4 x measured where that is tighter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Row(NamedTuple):
    limit: float
    measured: float | None = None


# component, weight type -> NMSE at most
NMSE: dict[tuple[str, str], Row] = {
    ("tokenizer", "any"): Row(0.0, 0.0),
    ("gemma", "F32"): Row(6.4e-11, 1.6e-11),
    ("connector", "F32"): Row(4e-13, 1e-13),
    ("dit", "F32"): Row(1.5e-11, 3.6e-12),
    # activations are rounded to BF16 to meet BF16 weights
    ("dit", "BF16"): Row(5e-5, 1.2e-5),
    ("vae.encoder", "F32"): Row(5.6e-12, 1.4e-12),
    ("vae.decoder", "F32"): Row(6.4e-12, 1.6e-12),
    ("vae.encoder", "F16"): Row(1.1e-6, 2.8e-7),
    ("vae.decoder", "F16"): Row(1.1e-6, 2.7e-7),
    ("sampler", "F32"): Row(1e-6),
    ("latents", "F32"): Row(5e-10, 1.26e-10),
    # the worst row of any state: activations of 16 bits as users run it (AVX2; 4e-8 with AVX-512),
    # and F32 (LTX2_EXACT)
    ("gemma270m", "Q4_K_M"): Row(4e-7, 2.3e-7),
    ("gemma270m.exact", "Q4_K_M"): Row(3.7e-9, 9.3e-10),
}

# weight type -> PSNR of the final frames in dB, at least. The official code itself with weights
# rounded to F16 reaches 65 dB on `base`.
FRAMES_PSNR: dict[str, Row] = {
    "F32": Row(50.0, 83.7),
    "F16": Row(40.0, 65.4),
    "BF16": Row(40.0, 59.6),
}


def nmse(ours: NDArray[np.generic], golden: NDArray[np.generic]) -> float:
    """The one measure. Shapes must agree; NaN and infinity give infinity."""
    a, b = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    if not np.isfinite(a).all():
        return float("inf")
    return float(((a - b) ** 2).sum() / (b**2).sum())


def psnr(ours: NDArray[np.uint8], golden: NDArray[np.uint8]) -> float:
    """Of bytes, in dB; infinity where they are equal."""
    if ours.shape != golden.shape:
        raise ValueError(f"shapes differ: {ours.shape} and {golden.shape}")
    mse = float(((ours.astype(np.float64) - golden.astype(np.float64)) ** 2).mean())
    return float("inf") if mse == 0 else 10 * float(np.log10(255.0**2 / mse))
