"""The scenes' sounds, made in batches on the device: each a function of its scene alone.

A shape hums a pitch of its own, louder the faster it moves and the more it has grown, from where
it is.  The sea's waves are noise that swells, a cat's steps are thumps in rustling grass.

Every pitch is a whole multiple of the spectrogram's 100 frames a second, and starts with the clip:
so a steady hum looks the same in every frame.  A vocoder is the same function of each frame, and
could sing no other pitch steadily.  For the same reason noises are recordings, always the same:
the autoencoder can learn their grain, which it would smooth away if it were new each time, and
without grain a vocoder's noise is a buzz.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from hearing import ASIDE, PITCHES
from scenes import Cat, Scene, Sea, Shapes, Thing

RATE, FULL_RATE = 16000, 48000  # of what the audio autoencoder sees, and of what is heard
HOP, WINDOW, BINS = 160, 1024, 64  # of the spectrogram at 16 kHz
HARMONICS = (1.0, 0.3, 0.12)
LOUDEST, STANDING = 0.5, 0.2  # amplitude of one shape; share of it that one at rest has
HALF_SPEED, GROWTH = 0.25, 0.75  # shares of the side a second; of a radius's share a second
KNOTS = 200  # a second at which curves are given, straight in between
FADE = 0.05  # seconds at both ends of a clip
TURN = 1.28  # seconds after which a noise repeats: 32 latents of the audio autoencoder
# A noise's middle in Hz and its width in octaves; it reaches up to 24 kHz.
SPECTRA = {"surf": (220, 1.0), "foam": (2600, 1.3), "pat": (900, 0.8), "grass": (4500, 0.9)}
HUSH = 1.2e-4  # amplitude of each wave of what sounds where nothing does: -63 dB together
APART = 0.35  # how unlike the two channels of the sea are, in radians


def pan(x: np.ndarray) -> np.ndarray:
    """Gains of left and right [2, len(x)], of equal power, for places x from the centre."""
    angle = (np.clip(x / ASIDE, -1, 1) + 1) * (math.pi / 4)
    return np.stack([np.cos(angle), np.sin(angle)])


def loudness(thing: Thing, seconds: float, knots: int) -> np.ndarray:
    """Of a shape over the clip; 0.2 where it stands, towards 1 the faster it moves."""
    x, y, radius = thing.at(np.linspace(0, 1, knots)).T
    step = seconds / (knots - 1)
    speed = np.hypot(np.gradient(x, step), np.gradient(y, step))
    speed += GROWTH * np.abs(np.gradient(radius, step)) / thing.radius
    level: np.ndarray = STANDING + (1 - STANDING) * speed / (speed + HALF_SPEED)
    level *= (radius / thing.radius) ** 2
    return level


class Stage:
    """The samples of some clips of one length: their times, and curves brought to them."""

    def __init__(self, seconds: float, rate: int, device: str) -> None:
        self.seconds, self.rate, self.device = seconds, rate, device
        self.samples = round(seconds * rate)
        self.knots = math.ceil(seconds * KNOTS) + 1
        self.time = torch.arange(self.samples, device=device) / rate

    def column(self, values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)[:, None]

    def curve(self, knots: np.ndarray) -> torch.Tensor:
        """[..., knots], evenly over the clip, as [..., samples]."""
        given = torch.from_numpy(knots.astype(np.float32)).to(self.device)
        place = self.time * ((self.knots - 1) / self.seconds)
        before = place.long().clamp(max=self.knots - 2)
        left, right = given[..., before], given[..., before + 1]
        return torch.lerp(left, right, place - before)


@cache
def _noise(kind: str, channel: int, rate: int, device: str) -> torch.Tensor:
    """One turn of RMS 1: the same at every rate, but for what the rate cannot hold."""
    middle, width = SPECTRA[kind]
    hertz = np.arange(1, round(TURN * FULL_RATE) // 2 + 1) / TURN
    amplitude = np.exp(-0.5 * (np.log2(hertz / middle) / width) ** 2) / np.sqrt(hertz)
    amplitude /= np.sqrt(2 * (amplitude**2).sum())
    phase = np.random.default_rng((zlib.crc32(kind.encode()), channel)).random(len(hertz))
    waves = np.concatenate([[0], amplitude * np.exp(2j * np.pi * phase)])
    samples = round(TURN * rate)
    turn = np.fft.irfft(waves[: samples // 2 + 1], samples) * samples
    return torch.from_numpy(turn.astype(np.float32)).to(device)


@cache
def _hush(rate: int, device: str) -> torch.Tensor:
    """The clip's quietest sound, 10 ms of it: alike in every frame, and in every bin.

    Without it most of a spectrogram is its floor, ten times as far from a hum as a hum's levels
    are from each other; what learns spectrograms then learns where hums are, and not how loud.
    """
    frame = rate // (RATE // HOP)
    phase = np.random.default_rng(3).random(RATE // 2 // (RATE // HOP) - 1)
    waves = np.zeros(frame // 2 + 1, complex)
    waves[1 : len(phase) + 1] = HUSH / 2 * np.exp(2j * np.pi * phase)
    return torch.from_numpy((np.fft.irfft(waves, frame) * frame).astype(np.float32)).to(device)


def _hums(scenes: list[Shapes], stage: Stage) -> torch.Tensor:
    gains = np.zeros((len(scenes), len(PITCHES), 2, stage.knots))
    for scene, gain in zip(scenes, gains, strict=True):
        for thing in scene.things:
            level = loudness(thing, stage.seconds, stage.knots)
            sides = pan(thing.at(np.linspace(0, 1, stage.knots))[:, 0])
            gain[list(PITCHES).index(thing.shape)] += (
                level * sides * (LOUDEST / math.sqrt(len(scene.things)))
            )
    hertz = torch.tensor(list(PITCHES.values()), device=stage.device)[:, None]
    whole = hertz * torch.arange(stage.samples, device=stage.device) % stage.rate
    turns = whole * (2 * math.pi / stage.rate)  # from whole numbers, so that no rounding is heard
    waves = [amplitude * torch.sin(turns * (n + 1)) for n, amplitude in enumerate(HARMONICS)]
    # A product of matrices would be rounded on some devices, which the spectrogram's floor shows.
    return (stage.curve(gains) * torch.stack(waves).sum(0)[:, None]).sum(1)


def _waves(scenes: list[Sea], stage: Stage) -> torch.Tensor:
    times = np.linspace(0, stage.seconds, stage.knots)
    swell = stage.curve(np.stack([scene.loudness(times) for scene in scenes]))
    turn = torch.arange(stage.samples, device=stage.device) % round(TURN * stage.rate)

    def water(channel: int) -> torch.Tensor:
        surf, foam = (
            _noise(kind, channel, stage.rate, stage.device)[turn] for kind in ("surf", "foam")
        )
        return surf * (0.012 + 0.1 * swell) + foam * (0.006 + 0.12 * swell * swell)

    same, other = math.cos(APART) * water(0), math.sin(APART) * water(1)
    return torch.stack([same + other, same - other], 1)


def _steps(scenes: list[Cat], stage: Stage) -> torch.Tensor:
    pace = stage.column([scene.pace for scene in scenes])
    phase = stage.column([scene.phase for scene in scenes])
    beats = stage.time * pace + phase
    since = (beats % 1.0) / pace  # seconds since a foot fell
    since = torch.where(beats.floor() > phase.floor(), since, 1e9)

    def struck(attack: float, decay: float) -> torch.Tensor:
        return (1 - (-since / attack).exp()) * (-since / decay).exp()

    place = (since * stage.rate).long().clamp(max=round(TURN * stage.rate) - 1)
    pat, grass = (_noise(kind, 0, stage.rate, stage.device)[place] for kind in ("pat", "grass"))
    thump = torch.sin(2 * math.pi * 120 * since) * struck(0.002, 0.016) * 0.7
    pat = pat * struck(0.001, 0.012) * 0.2
    grass = grass * struck(0.006, 0.04) * 0.05
    weight = stage.column([0.5 + 2.5 * scene.size for scene in scenes])
    sides = np.stack([pan(scene.at(np.linspace(0, 1, stage.knots))) for scene in scenes])
    return stage.curve(sides) * ((thump + pat + grass) * weight)[:, None]


VOICES: tuple[tuple[type, Callable[[list[Any], Stage], torch.Tensor]], ...] = (
    (Shapes, _hums),
    (Sea, _waves),
    (Cat, _steps),
)


def sound(
    scenes: list[Scene], seconds: float, rate: int = RATE, device: str = "cpu"
) -> torch.Tensor:
    """[scenes, 2, samples] in [-1, 1]."""
    stage = Stage(seconds, rate, device)
    out = torch.zeros(len(scenes), 2, stage.samples, device=device)
    for kind, voice in VOICES:
        rows = [i for i, scene in enumerate(scenes) if isinstance(scene, kind)]
        if rows:
            out[rows] = voice([scenes[i] for i in rows], stage)
    ends = torch.minimum(stage.time, seconds - stage.time) / FADE
    out *= 0.5 - 0.5 * torch.cos(math.pi * ends.clamp(0, 1))
    hush = _hush(rate, device)
    return out + hush.repeat(math.ceil(stage.samples / len(hush)))[: stage.samples]


@cache
def mel_filters(window: int, rate: int = RATE) -> np.ndarray:
    """[64, window / 2 + 1]: triangles of equal area, evenly on Slaney's mel scale."""
    scale = np.linspace(0, 15 + 27 * np.log(rate / 2000) / np.log(6.4), BINS + 2)
    hertz = np.where(scale < 15, scale * 200 / 3, 1000 * np.exp((scale - 15) * np.log(6.4) / 27))
    bins = np.linspace(0, rate / 2, window // 2 + 1)[:, None]
    rising = (bins - hertz[:-2]) / np.diff(hertz)[:-1]
    falling = (hertz[2:] - bins) / np.diff(hertz)[1:]
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (hertz[2:] - hertz[:-2])
    out: np.ndarray = filters.T
    return out


@cache
def _mel_basis(window: int, rate: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    filters = torch.from_numpy(mel_filters(window, rate)).float().to(device)
    return filters, torch.hann_window(window, device=device)


def log_mel(audio: torch.Tensor) -> torch.Tensor:
    """What the audio autoencoder sees of [n, 2, samples] at 16 kHz: [n, 2, frames, 64]."""
    filters, hann = _mel_basis(WINDOW, RATE, str(audio.device))
    flat = audio.flatten(0, 1).float()
    waves = torch.stft(flat, WINDOW, HOP, window=hann, pad_mode="reflect", return_complex=True)
    mel = (filters @ waves.abs()).clamp(min=1e-5).log()
    return mel.mT.unflatten(0, audio.shape[:2])
