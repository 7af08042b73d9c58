"""The noise of a seed, as native/src/sampling/noise.cpp makes it, to the bit; and its streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Streams, as native/src/session_stages.cpp has them: of each stage, of what its sampler adds, of
# the sound.
STAGE, FRESH, SOUND = 1 << 24, 1 << 23, 1 << 22

_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def _philox(seed: int, stream: int, blocks: int) -> list[NDArray[np.uint64]]:
    """Philox 4x32-10 of the counters (block, stream): four words of each."""
    block = np.arange(blocks, dtype=np.uint64)
    c = [block & _LOW, block >> _32, np.full(blocks, stream, np.uint64), np.zeros_like(block)]
    keys = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        key0, key1 = (np.uint64(key) for key in keys)
        c = [b >> _32 ^ c[1] ^ key0, b & _LOW, a >> _32 ^ c[3] ^ key1, a & _LOW]
        keys = [(keys[0] + 0x9E3779B9) & 0xFFFFFFFF, (keys[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def _natural_log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    m, e = np.frexp(x)
    small = m < 0.70710678118654752
    m, e = np.where(small, m * 2, m), e - small
    s = (m - 1) / (m + 1)
    s2, total = s * s, np.zeros_like(s)
    for k in range(21, 0, -2):
        total = total * s2 + 1.0 / k
    return np.asarray(2 * s * total + e * 0.69314718055994531)


def _cosine_and_sine(u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    quadrant = (u * 4 + 0.5).astype(np.int64)
    x = (u - quadrant * 0.25) * 6.283185307179586
    x2, c, s = x * x, np.zeros_like(x), np.zeros_like(x)
    for k in range(8, -1, -1):
        c = 1 - x2 * c / ((2.0 * k + 1) * (2.0 * k + 2))
        s = 1 - x2 * s / ((2.0 * k + 2) * (2.0 * k + 3))
    s = s * x
    sign, turned = np.where(quadrant & 2, -1.0, 1.0), (quadrant & 1).astype(bool)
    return np.where(turned, -s, c) * sign, np.where(turned, c, s) * sign


def normal_noise(seed: int, stream: int, count: int) -> NDArray[np.float32]:
    words = _philox(seed, stream, -(-count // 4))
    out = np.empty((len(words[0]), 4), np.float32)
    for pair in (0, 2):
        share = (words[pair].astype(np.float64) + 0.5) / 4294967296.0
        radius = np.sqrt(-2 * _natural_log(share))
        cosine, sine = _cosine_and_sine(words[pair + 1] / 4294967296.0)
        out[:, pair], out[:, pair + 1] = radius * cosine, radius * sine
    return out.ravel()[:count]
