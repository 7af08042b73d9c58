"""Stage 1: the video autoencoder.

Small windows of drawn clips, L1 + L2 with more weight on the shape and on the first frame, a
noise on the normalised latents (so that neighbouring latents decode alike) and a weak pull of
their scale towards one.  Ends by measuring `per_channel_statistics`.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from config import CONFIG
from data import Scene, render, training_scene, trajectory
from ltx_core.model.video_vae.model_configurator import (
    VideoDecoderConfigurator,
    VideoEncoderConfigurator,
)
from optim import Average, Threads, learning_rate, make_optimizers, save
from torch import nn

# (frames, window, share): one frame for still images, whole frames for the borders.
WINDOWS = [(9, 64, 0.2), (17, 64, 0.15), (9, 128, 0.25), (25, 128, 0.2), (1, 128, 0.2)]
SIDES = [(128, 0.75), (192, 0.15), (256, 0.1)]
VOXELS_PER_BATCH = 4 * 9 * 96 * 96
LATENT_NOISE = 0.08
# How readily a drawn scene is taken: crosses are the hardest to draw and circles the easiest,
# and what turns back within a few frames is harder than what goes straight.
TAKEN = {"cross": 1.0, "square": 0.5, "triangle": 0.5, "diamond": 0.5, "circle": 0.25}
TAKEN_TURNING, TAKEN_STRAIGHT = 1.0, 0.6


class Vae(nn.Module):
    """The official encoder and decoder, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = CONFIG["vae"]["latent_channels"]
        self.encoder = VideoEncoderConfigurator.from_config(CONFIG)
        self.decoder = VideoDecoderConfigurator.from_config(CONFIG)
        for part in (self.encoder, self.decoder):
            statistics = part.per_channel_statistics
            statistics.get_buffer("mean-of-means").zero_()
            statistics.get_buffer("std-of-means").fill_(1.0)

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        for part in (self.encoder, self.decoder):
            part.per_channel_statistics.get_buffer("mean-of-means").copy_(mean)
            part.per_channel_statistics.get_buffer("std-of-means").copy_(std)


def _pick(rng: np.random.Generator, choices: list[Any]) -> Any:
    shares = np.array([c[-1] for c in choices])
    return choices[int(rng.choice(len(choices), p=shares / shares.sum()))]


def _scene(rng: np.random.Generator) -> Scene:
    """A training scene, the hard ones more often."""
    while True:
        scene = training_scene(rng)
        turning = scene.motion in ("bounce", "circle")
        if rng.random() < TAKEN[scene.shape] * (TAKEN_TURNING if turning else TAKEN_STRAIGHT):
            return scene


def batch(rng: np.random.Generator) -> torch.Tensor:
    """[batch, 3, frames, window, window] windows that mostly see the shape."""
    frames, window, _ = _pick(rng, WINDOWS)
    side, _ = _pick(rng, SIDES)
    side = max(side, window)
    total = max(frames, int(rng.choice([17, 25, 25, 33, 49])))
    start = int(rng.integers(total - frames + 1))
    count = max(1, VOXELS_PER_BATCH // (frames * window * window))
    scenes = [_scene(rng) for _ in range(count)]
    offsets = np.empty((count, 2), dtype=int)
    for i, scene in enumerate(scenes):
        centre = trajectory(scene, total, side, side)[start : start + frames, :2].mean(0)
        corner = centre - window * rng.uniform(0.15, 0.85, 2)
        offsets[i] = np.clip(np.round(corner), 0, side - window)
    return render(
        scenes, total, side, side, (window, window), offsets, slice(start, start + frames)
    )


def loss_of(vae: Vae, x: torch.Tensor, frozen: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The training loss and the plain mean square error (of values in [-1, 1])."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.set_grad_enabled(not frozen):
            z = vae.encoder(x)
        y = vae.decoder(z + LATENT_NOISE * torch.randn_like(z))
    d = y.float() - x
    # The background is what most pixels are; the shape, the smaller part, weighs more.
    ground = x.flatten(2).median(-1).values[:, :, None, None, None]
    weight = 1.0 + 2.0 * ((x - ground).abs().amax(1, keepdim=True) > 0.02)
    weight[:, :, 0] *= 2.0  # one latent for one frame, and what a given picture goes through
    mse = (d * d).mean()
    z = z.float()
    scale = 1e-3 * (z.pow(2).mean() - 1).clamp(min=0) + 1e-3 * z.mean((0, 2, 3, 4)).pow(2).mean()
    return (weight * (d.abs() + 4.0 * d * d)).mean() + scale, mse


def decibel(mse: float) -> float:
    """PSNR for values spanning 2."""
    return float(10 * np.log10(4 / max(mse, 1e-12)))


@torch.no_grad()
def measure(vae: Vae, clips: int = 12, size: tuple[int, int, int] = (25, 128, 128)) -> float:
    rng = np.random.default_rng(99)
    x = render([training_scene(rng) for _ in range(clips)], *size)
    total = 0.0
    for clip in x.split(4):
        with torch.autocast("cpu", torch.bfloat16):
            y = vae.decoder(vae.encoder(clip))
        total += decibel(float(((y.float().clamp(-1, 1) - clip) ** 2).mean())) * len(clip)
    return total / clips


@torch.no_grad()
def set_statistics(vae: Vae, clips: int = 128) -> None:
    """Measures each latent channel over whole clips, first frames included."""
    rng = np.random.default_rng(7)
    vae.set_statistics(torch.zeros(1), torch.ones(1))
    rows = []
    for _ in range(clips // 8):
        x = render([training_scene(rng) for _ in range(8)], 25, 128, 128)
        with torch.autocast("cpu", torch.bfloat16):
            rows.append(vae.encoder(x).float().transpose(0, 1).flatten(1))
    z = torch.cat(rows, 1)
    vae.set_statistics(z.mean(1), z.std(1).clamp(min=1e-3))


class Trainer:
    """Everything a step needs; its state can be saved and taken up again.

    With `decoder_only` the encoder and the statistics stay as `vae.pt` has them, so latents
    already computed keep their meaning while the decoder goes on learning.
    """

    def __init__(self, folder: Path, lr: float, muon_lr: float, decoder_only: bool) -> None:
        self.folder, self.decoder_only = folder, decoder_only
        torch.manual_seed(1)
        self.vae, self.step, self.used = Vae(), 0, 0.0
        if decoder_only:
            self.vae.load_state_dict(torch.load(folder / "vae.pt"))
        self.average = Average(self.vae)
        self.peaks = [muon_lr, lr]
        trained = [self.vae.decoder] if decoder_only else [self.vae]
        self.optimizers = make_optimizers(trained, lr, muon_lr)
        self.resume = folder / ("decoder-train.pt" if decoder_only else "vae-train.pt")
        if self.resume.exists():
            state = torch.load(self.resume, weights_only=False)
            self.vae.load_state_dict(state["vae"])
            self.average.values = state["average"]
            for o, s in zip(self.optimizers, state["optimizers"], strict=True):
                o.load_state_dict(s)
            self.step, self.used = state["step"], state["used"]

    def keep(self) -> None:
        state = {
            "vae": self.vae.state_dict(),
            "average": self.average.values,
            "step": self.step,
            "used": self.used,
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        save(self.resume, state)
        whole = Vae()
        whole.load_state_dict(self.average.values)
        print(f"   average, whole clips: {measure(whole):.2f} dB", flush=True)
        if not self.decoder_only:
            set_statistics(whole)
        save(self.folder / "vae.pt", whole.state_dict())

    def train(self, minutes: float) -> None:
        saved, losses, threads = self.used, [], Threads(torch.get_num_threads())
        seed = 19 if self.decoder_only else 11
        while self.used < minutes * 60:
            began, busy = time.monotonic(), time.process_time()
            x = batch(np.random.default_rng((seed, self.step)))
            share = learning_rate(self.used / (minutes * 60))
            for o, peak in zip(self.optimizers, self.peaks, strict=True):
                for group in o.param_groups:
                    group["lr"] = peak * share
                o.zero_grad()
            loss, mse = loss_of(self.vae, x, self.decoder_only)
            loss.backward()
            nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
            for o in self.optimizers:
                o.step()
            self.average.update(self.vae, self.step)
            self.step += 1
            losses.append(float(mse.detach()))
            threads.step(time.monotonic() - began)
            self.used += (time.process_time() - busy) / torch.get_num_threads()
            if self.step % 50 == 0:
                recent = decibel(float(np.mean(losses[-50:])))
                print(
                    f"vae step {self.step} {self.used / 60:.1f} min  {recent:.2f} dB"
                    f"  lr {share:.3f}",
                    flush=True,
                )
            if self.used - saved > 180:
                saved = self.used
                self.keep()
        self.keep()


def train(
    folder: Path, minutes: float, lr: float, muon_lr: float, decoder_only: bool = False
) -> None:
    Trainer(folder, lr, muon_lr, decoder_only).train(minutes)


def load(folder: Path) -> Vae:
    vae = Vae()
    vae.load_state_dict(torch.load(folder / "vae.pt"))
    vae.eval().requires_grad_(False)
    return vae
