"""Stage: the x2 latent upsampler, on latents of the same clips encoded at two sizes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import train_vae
from config import FPS, UPSAMPLER
from drawing import draw
from ltx_core.model.upsampler import LatentUpsampler, LatentUpsamplerConfigurator
from model import Size
from optim import Average, Clock, autocast, learning_rate, make_optimizers, save, step_all
from scenes import Scene
from torch import nn
from world import training_scene

# (the smaller size, pairs, share of the steps)
PAIRS = [
    (Size(49, 256, 256), 160, 0.5),
    (Size(25, 256, 256), 96, 0.1),
    (Size(49, 128, 128), 320, 0.3),
    (Size(1, 256, 256), 160, 0.1),
]
CELLS = {"cuda": 24 * 7 * 8 * 8, "cpu": 2 * 7 * 8 * 8}  # of the smaller latents in a step


def make() -> LatentUpsampler:
    return LatentUpsamplerConfigurator.from_config(UPSAMPLER)


def _encoded(
    vae: train_vae.Vae, scenes: list[Scene], frames: int, side: int, device: str
) -> torch.Tensor:
    """Latents as the upsampler sees them: not normalised."""
    part = max(1, (8 if device != "cpu" else 2) * 256 * 256 // (side * side))
    rows = []
    for i in range(0, len(scenes), part):
        x = draw(scenes[i : i + part], frames, side, side, FPS, device)
        with torch.no_grad(), autocast(device):
            rows.append(vae.encoder(x).float())
    whole: torch.Tensor = vae.encoder.per_channel_statistics.un_normalize(torch.cat(rows))
    return whole


class Trainer:
    """Everything a step needs."""

    def __init__(self, folder: Path, device: str, pairs: float, lr: float, muon_lr: float) -> None:
        self.folder, self.device = folder, device
        torch.manual_seed(4)
        self.model = make().to(device)
        self.average = Average(self.model)
        self.peaks = [muon_lr, lr]
        self.optimizers = make_optimizers([self.model], lr, muon_lr)
        vae, rng = train_vae.load(folder, device), np.random.default_rng(41)
        # What is not normalised differs in scale from channel to channel; each counts alike.
        self.std = vae.encoder.per_channel_statistics.get_buffer("std-of-means")
        self.std = self.std.float()[:, None, None, None]
        self.pools = []
        for size, count, _ in PAIRS:
            began, count = time.monotonic(), max(2, round(count * pairs))
            scenes = [training_scene(rng) for _ in range(count)]
            self.pools.append(
                [_encoded(vae, scenes, size.frames, size.width * n, device) for n in (1, 2)]
            )
            spent = time.monotonic() - began
            print(f"upsampler pool {size}: {count} pairs in {spent:.1f} s", flush=True)

    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        shares = np.array([share for *_, share in PAIRS])
        which = int(rng.choice(len(PAIRS), p=shares / shares.sum()))
        small, large = self.pools[which]
        frames, height, width = small.shape[2:]
        cells = CELLS[self.device.split(":")[0]]
        count = min(len(small), max(1, cells // (frames * height * width)))
        at = torch.from_numpy(rng.integers(len(small), size=count)).to(self.device)
        # A first stage's latents are not quite the encoder's.
        noise = 0.05 * self.std * torch.randn(small[at].shape, device=self.device)
        with autocast(self.device):
            y = self.model(small[at] + noise)
        error = (y.float() - large[at]) / self.std
        return error.abs().mean() + error.pow(2).mean()

    def train(self, minutes: float) -> None:
        clock, step = Clock(minutes), 0
        parameters: list[nn.Parameter] = list(self.model.parameters())
        recent = torch.zeros((), device=self.device)
        while not clock.done:
            loss = self.loss(np.random.default_rng((43, step)))
            loss.backward()
            step_all(self.optimizers, self.peaks, learning_rate(clock.share), parameters)
            self.average.update(self.model, step)
            step += 1
            recent += (0.05 if step > 1 else 1.0) * (loss.detach() - recent)
            if clock.is_time_to_say():
                print(
                    f"upsampler step {step} {clock.used:.0f} s  loss {float(recent):.4f}",
                    flush=True,
                )
            if clock.is_time_to_keep():
                self.keep()
        self.keep()

    def keep(self) -> None:
        save(self.folder / "upsampler.pt", self.average.values)


def train(
    folder: Path,
    minutes: float,
    device: str,
    pairs: float = 1.0,
    lr: float = 1e-3,
    muon_lr: float = 2e-3,
) -> None:
    """The time for encoding the pairs is of the minutes."""
    began = time.monotonic()
    trainer = Trainer(folder, device, pairs, lr, muon_lr)
    trainer.train(minutes - (time.monotonic() - began) / 60)


def load(folder: Path) -> LatentUpsampler:
    model = make()
    if (folder / "upsampler.pt").exists():
        model.load_state_dict(torch.load(folder / "upsampler.pt", map_location="cpu"))
    return model
