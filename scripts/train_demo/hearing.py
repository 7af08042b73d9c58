"""Listens to a clip and says what it hears: which shape hums, from where, how loud, waves, steps.

NumPy alone, so that a test can judge what `ltx2` itself has made:

    pitch(audio, 48000)            # "circle"; audio [samples, 2] in [-1, 1]
    follows(audio, 48000, path)    # whether it comes from where the path, x in shares, says
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

PITCHES = {"square": 200, "cross": 300, "circle": 500, "triangle": 700, "diamond": 900}  # Hz

ASIDE = 1 / 3  # x, in shares from the centre, from which all of a sound is on one side
CURVE = 25  # values a second of a curve, each of a window twice as long
OFF_PITCH = 0.05  # how far from a pitch its hum may be, as a share
FAINT = 0.1  # of the loudest window: what is quieter has no side
MOVES, SAME_WAY, STRAY = 0.25, 0.7, 0.25  # of a balance: range, correlation, mean distance
WAVE_FLATNESS, WAVE_SWELL = 0.25, 2.0  # of noise; loudest to quietest window
STEP_LEVEL, STEP_RISE, STEP_EVEN = 0.3, 2.0, 0.2  # to the loudest; to what was before; of intervals


def pitch(audio: np.ndarray, rate: int) -> str:
    """The shape whose pitch is the strongest in the clip; "" where none of them is."""
    hann = np.hanning(len(audio))[:, None]
    power = (np.abs(np.fft.rfft(audio * hann, axis=0)) ** 2).sum(1)
    hertz = np.fft.rfftfreq(len(audio), 1 / rate)
    power[(hertz < 100) | (hertz > 4000)] = 0
    strongest = hertz[int(power.argmax())]
    name = min(PITCHES, key=lambda shape: abs(PITCHES[shape] - strongest))
    return name if abs(PITCHES[name] - strongest) < OFF_PITCH * PITCHES[name] else ""


def _windows(audio: np.ndarray, rate: int) -> np.ndarray:
    """RMS of both channels [windows, 2], `CURVE` a second."""
    hop = rate / CURVE
    count = max(1, int(len(audio) / hop) - 1)
    power = np.stack(
        [(audio[round(i * hop) : round((i + 2) * hop)] ** 2).mean(0) for i in range(count)]
    )
    rms: np.ndarray = np.sqrt(power)
    return rms


def loudness(audio: np.ndarray, rate: int) -> np.ndarray:
    """RMS of the sound over the clip."""
    out: np.ndarray = np.sqrt((_windows(audio, rate) ** 2).sum(1))
    return out


def panning(audio: np.ndarray, rate: int) -> np.ndarray:
    """Where the sound comes from over the clip: -1 is left, 1 right."""
    left, right = _windows(audio, rate).T
    balance: np.ndarray = np.arctan2(right, left) * (4 / math.pi) - 1
    return balance


def agreement(curve: np.ndarray, wanted: np.ndarray) -> float:
    """Correlation of a curve with values given evenly over the clip."""
    there = _resampled(wanted, len(curve))
    spread = curve.std() * there.std()
    return float(((curve - curve.mean()) * (there - there.mean())).mean() / (spread + 1e-12))


def _resampled(values: np.ndarray, count: int) -> np.ndarray:
    """At the middles of the windows of a curve."""
    places = (np.arange(count) + 1) / (count + 1)
    out: np.ndarray = np.interp(places, np.linspace(0, 1, len(values)), values)
    return out


def follows(audio: np.ndarray, rate: int, path: np.ndarray) -> bool:
    """Whether the sound is where the thing is: `path` is its x in shares from the centre."""
    level, balance = loudness(audio, rate), panning(audio, rate)
    heard = level > FAINT * level.max()
    wanted = np.clip(_resampled(path, len(balance)) / ASIDE, -1, 1)
    if not heard.any() or np.abs(balance - wanted)[heard].mean() > STRAY:
        return False
    if np.ptp(wanted[heard]) < MOVES:
        return True
    return agreement(balance[heard], wanted[heard]) > SAME_WAY


def _envelope(audio: np.ndarray, rate: int, seconds: float) -> np.ndarray:
    hop = round(rate * seconds)
    power = (audio**2).sum(1)[: len(audio) // hop * hop].reshape(-1, hop).mean(1)
    out: np.ndarray = np.sqrt(power)
    return out


def steps(audio: np.ndarray, rate: int) -> np.ndarray:
    """Seconds at which something strikes: loud at once, after a moment of less."""
    unit, before = 0.01, 6
    envelope = _envelope(audio, rate, unit)
    times: list[float] = []
    for i in range(1, len(envelope)):
        near = envelope[max(0, i - before) : i]
        is_loud = envelope[i] > STEP_LEVEL * envelope.max()
        is_rise = envelope[i] > STEP_RISE * near.min()
        is_top = envelope[i] >= envelope[i : i + 3].max()
        if is_loud and is_rise and is_top and (not times or i * unit - times[-1] > 0.1):
            times.append(i * unit)
    return np.array(times)


def is_steps(audio: np.ndarray, rate: int) -> bool:
    """Whether strikes come evenly, two to five a second, with quiet in between."""
    times = steps(audio, rate)
    if len(times) < 3:
        return False
    gaps = np.diff(times)
    envelope = _envelope(audio, rate, 0.01)
    is_quiet = np.median(envelope) < 0.4 * np.sort(envelope)[-len(times)]
    is_even = gaps.std() < STEP_EVEN * gaps.mean()
    return bool(is_quiet and is_even and 0.2 <= gaps.mean() <= 0.5)


def is_waves(audio: np.ndarray, rate: int) -> bool:
    """Whether it is a noise of all frequencies that swells slowly."""
    power = (np.abs(np.fft.rfft(audio, axis=0)) ** 2).sum(1)
    hertz = np.fft.rfftfreq(len(audio), 1 / rate)
    edges = 300 * 2 ** (np.arange(14) / 3)
    bands = np.array(
        [np.sqrt(power[(hertz >= low) & (hertz < high)].sum()) for low, high in pairwise(edges)]
    )
    flatness = np.exp(np.log(bands + 1e-9).mean()) / (bands.mean() + 1e-9)
    level = np.convolve(loudness(audio, rate), np.ones(3) / 3, "valid")
    swell = level.max() / (level.min() + 1e-6)
    return bool(flatness > WAVE_FLATNESS and swell > WAVE_SWELL and not is_steps(audio, rate))
