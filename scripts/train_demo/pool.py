"""Clips drawn, sounded and encoded once on the device, and kept there as tokens for training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
import train_sound
import train_vae
from config import AUDIO_TOKEN, FPS, LATENT_CHANNELS
from drawing import draw
from model import Size, sound_tokens, to_tokens
from optim import autocast, save
from scenes import Scene
from text import CAPTION_LENGTH, Prompts
from world import caption, training_scene

CAPTIONS = 4  # wordings kept of each clip
PIECE = 10_000  # tokens in a file of encoded clips
PIXELS_AT_ONCE = {"cuda": 24 * 49 * 256 * 256, "cpu": 2 * 49 * 256 * 256}

Maker = Callable[[np.random.Generator], Scene]


@dataclass(frozen=True)
class Batch:
    """Tokens of clips, and one wording of each."""

    video: torch.Tensor
    sound: torch.Tensor
    ids: torch.Tensor
    lengths: torch.Tensor


class Pool:
    """Room for so many clips of one size; the oldest give way when it is full."""

    def __init__(self, size: Size, clips: int, device: str) -> None:
        self.size, self.clips, self.made = size, clips, 0
        half = {"dtype": torch.float16, "device": device}
        self.video = torch.zeros(clips, size.tokens, LATENT_CHANNELS, **half)
        self.sound = torch.zeros(clips, size.sounds, AUDIO_TOKEN, **half)
        self.ids = torch.zeros(clips, CAPTIONS, CAPTION_LENGTH, dtype=torch.long, device=device)
        self.lengths = torch.ones(clips, CAPTIONS, dtype=torch.long, device=device)
        self.filled = torch.zeros((), device=device)  # on the device: a captured step reads it
        self.read_already: set[Path] = set()

    def add(self, batch: Batch) -> None:
        at = torch.arange(self.made, self.made + len(batch.video)) % self.clips
        at = at.to(self.video.device)
        for mine, new in (
            (self.video, batch.video),
            (self.sound, batch.sound),
            (self.ids, batch.ids),
            (self.lengths, batch.lengths),
        ):
            mine[at] = new.to(mine.dtype)
        self.made += len(at)
        self.filled.fill_(min(self.made, self.clips))

    def read(self, folder: Path) -> None:
        """Takes in what `encode` has written since the last time."""
        for path in sorted(folder.glob(self.size.name + "-*.pt")):
            if path not in self.read_already:
                self.add(Batch(**torch.load(path, map_location=self.video.device)))
                self.read_already.add(path)

    def draw(self, count: int) -> Batch:
        """Clips by chance; nothing here waits for the device."""
        device = self.video.device
        clip = (torch.rand(count, device=device) * self.filled).long().clamp(max=self.clips - 1)
        wording = torch.randint(CAPTIONS, (count,), device=device)
        return Batch(
            self.video[clip].float(),
            self.sound[clip].float(),
            self.ids[clip, wording],
            self.lengths[clip, wording],
        )


class Source:
    """Makes encoded clips from a seed."""

    def __init__(self, folder: Path, prompts: Prompts, device: str, seed: int) -> None:
        self.prompts, self.device = prompts, device
        self.rng = np.random.default_rng(seed)
        self.vae = train_vae.load(folder, device)
        self.sound_vae = train_sound.load(folder, device)

    def latents(self, scenes: list[Scene], size: Size) -> torch.Tensor:
        """[clips, channels, frames, rows, columns], normalised."""
        x = draw(scenes, size.frames, size.height, size.width, FPS, self.device)
        with torch.no_grad(), autocast(self.device):
            z: torch.Tensor = self.vae.encoder(x)
        return z

    def batches(self, size: Size, count: int, maker: Maker = training_scene) -> Iterator[Batch]:
        """`count` clips in parts that the device has room for."""
        at_once = PIXELS_AT_ONCE[self.device.split(":")[0]]
        part = max(1, at_once // (size.frames * size.height * size.width))
        for begin in range(0, count, part):
            scenes = [maker(self.rng) for _ in range(min(part, count - begin))]
            texts = [caption(scene, self.rng) for scene in scenes for _ in range(CAPTIONS)]
            ids, lengths = self.prompts(texts, CAPTION_LENGTH)
            sounds = train_sound.encode(self.sound_vae, scenes, size.seconds, self.device)
            yield Batch(
                to_tokens(self.latents(scenes, size)),
                sound_tokens(sounds),
                ids.view(len(scenes), CAPTIONS, -1).to(self.device),
                lengths.view(len(scenes), CAPTIONS).to(self.device),
            )

    def fill(
        self,
        pool: Pool,
        count: int,
        maker: Maker = training_scene,
        seconds: float = math.inf,
    ) -> None:
        """As many clips as there is time for, and a few in any case."""
        began = time.monotonic()
        for batch in self.batches(pool.size, count, maker):
            pool.add(batch)
            if self.device.startswith("cuda"):
                torch.cuda.synchronize()
            if time.monotonic() - began > seconds:
                break


def encode(
    folder: Path, source: Source, minutes: float, shares: Mapping[Size, float], maker: Maker
) -> None:
    """Writes encoded clips of each size, in its share of the time, to `folder`.

    For a CPU, where this takes about as long as training on them: it has a core of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spent = dict.fromkeys(shares, 0.0)
    while sum(spent.values()) < minutes * 60:
        size = min(shares, key=lambda size: spent[size] / shares[size])
        began = time.monotonic()
        count = max(1, round(PIECE / (size.tokens + size.sounds)))
        parts = list(source.batches(size, count, maker))
        names = [field.name for field in fields(Batch)]
        whole = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        before = len(list(folder.glob(size.name + "-*.pt")))
        save(folder / f"{size.name}-{before:04d}.pt", whole)
        spent[size] += time.monotonic() - began
        print(f"{size.name}: {before + 1} files, {count} clips in each", flush=True)
