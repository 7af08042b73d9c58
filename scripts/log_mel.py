"""The spectrogram that an audio VAE reads, in NumPy: torchaudio has no CPU build."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_mel(samples: NDArray[Any]) -> NDArray[Any]:
    """Of 16 kHz, one channel: frames x bands."""
    scale = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 66)
    hertz = np.where(scale < 15, scale * 200 / 3, 1000 * np.exp((scale - 15) * np.log(6.4) / 27))
    bins = np.linspace(0, 8000, 513)[:, None]
    rising = (bins - hertz[:-2]) / np.diff(hertz)[:-1]
    falling = (hertz[2:] - bins) / np.diff(hertz)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (hertz[2:] - hertz[:-2])
    padded = np.pad(samples.astype(np.float64), 512, mode="reflect")
    frames = np.stack([padded[i : i + 1024] for i in range(0, len(samples) + 1, 160)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    bands: NDArray[Any] = np.abs(np.fft.rfft(frames * hann)) @ filters
    mel: NDArray[Any] = np.log(np.maximum(bands, 1e-5))
    return mel
