"""The video autoencoder, first both halves, then the decoder alone.

Windows of drawn clips, L1 + L2 with more weight on what is not background and on the first frame,
a noise on the normalised latents (so that neighbouring latents decode alike) and a weak pull of
their scale towards one.  Ends by measuring `per_channel_statistics`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from config import CONFIG
from drawing import draw
from ltx_core.model.video_vae.model_configurator import (
    VideoDecoderConfigurator,
    VideoEncoderConfigurator,
)
from optim import Average, Clock, autocast, learning_rate, make_optimizers, save, step_all
from scenes import Cat, Scene, Sea, Shapes
from torch import nn
from world import training_scene

# (frames, window, share): moments of whole pictures, for the borders, and parts for longer.
WINDOWS = [(25, 128, 0.5), (9, 256, 0.5)]
SIDES = [(256, 0.7), (128, 0.08), (192, 0.1), (512, 0.12)]
VOXELS = {"cuda": 2_500_000, "cpu": 300_000}  # a step
LATENT_NOISE = 0.08
SMILES = 0.15  # of the scenes of shapes


class Vae(nn.Module):
    """The official encoder and decoder, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = CONFIG["vae"]["latent_channels"]
        self.encoder = VideoEncoderConfigurator.from_config(CONFIG)
        self.decoder = VideoDecoderConfigurator.from_config(CONFIG)
        self.set_statistics(torch.zeros(1), torch.ones(1))

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        for part in (self.encoder, self.decoder):
            part.per_channel_statistics.get_buffer("mean-of-means").copy_(mean)
            part.per_channel_statistics.get_buffer("std-of-means").copy_(std)


@torch.no_grad()
def start_from(vae: Vae, path: Path) -> list[str]:
    """Sets what the GGUF file has; returns the names that it lacks, which stay as they are.

    The second convolution of a residual block that the file lacks becomes zero: the block then
    changes nothing before it has learned something.
    """
    reader = gguf.GGUFReader(path)
    found = {
        tensor.name.removeprefix("vae."): gguf.dequantize(tensor.data, tensor.tensor_type)
        for tensor in reader.tensors
        if tensor.name.startswith("vae.")
    }
    missing = []
    for name, value in vae.state_dict().items():
        source = name.split(".", 1)[1] if "per_channel_statistics" in name else name
        if source in found:
            content = np.array(found[source], dtype=np.float32)
            value.copy_(torch.from_numpy(content).reshape(value.shape))
            continue
        missing.append(name)
        if ".conv2." in name:
            value.zero_()
    return missing


def _pick(rng: np.random.Generator, choices: list[Any]) -> Any:
    shares = np.array([c[-1] for c in choices])
    return choices[int(rng.choice(len(choices), p=shares / shares.sum()))]


def _scene(rng: np.random.Generator) -> Scene:
    scene = training_scene(rng)
    if isinstance(scene, Shapes) and rng.random() < SMILES:
        return replace(scene, smile=True)
    return scene


def _focus(scene: Scene, share: float, rng: np.random.Generator) -> tuple[float, float]:
    """A place worth looking at, from the picture's centre in shares of the shorter side."""
    at = np.array([share])
    if isinstance(scene, Sea):
        return scene.sun_x, float(rng.uniform(scene.sun_y, 0.4))
    if isinstance(scene, Cat):
        return float(scene.at(at)[0]), 0.15
    x, y, _ = scene.things[int(rng.integers(len(scene.things)))].at(at)[0]
    return float(x), float(y)


def batch(rng: np.random.Generator, device: str) -> torch.Tensor:
    """[batch, 3, frames, window, window] windows that mostly see what moves."""
    frames, window, _ = _pick(rng, WINDOWS)
    side, _ = _pick(rng, SIDES)
    side = max(side, window)
    total = max(frames, int(rng.choice([25, 49, 49, 49, 97])))
    start = int(rng.integers(total - frames + 1))
    count = max(1, VOXELS[device.split(":")[0]] // (frames * window * window))
    scenes = [_scene(rng) for _ in range(count)]
    middle = (start + frames / 2) / total
    corners = [
        (np.array(_focus(scene, middle, rng)) + 0.5) * side - window * rng.uniform(0.15, 0.85, 2)
        for scene in scenes
    ]
    offsets = np.clip(np.round(np.stack(corners)).astype(int), 0, side - window)
    time = slice(start, start + frames)
    size = (window, window)
    return draw(scenes, total, side, side, 24.0, device, size, offsets, time)


def loss_of(vae: Vae, x: torch.Tensor, frozen: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The training loss and the plain mean square error (of values in [-1, 1])."""
    with autocast(x.device.type):
        with torch.set_grad_enabled(not frozen):
            z = vae.encoder(x)
        y = vae.decoder(z + LATENT_NOISE * torch.randn_like(z))
    d = y.float() - x
    # The background is what most pixels are; what stands before it, the smaller part, weighs more.
    ground = x[:, :, :, ::8, ::8].flatten(2).median(-1).values[:, :, None, None, None]
    weight = 1.0 + 2.0 * ((x - ground).abs().amax(1, keepdim=True) > 0.02)
    weight[:, :, 0] *= 2.0  # one latent for one frame, and what a given picture goes through
    mse = (d * d).mean()
    z = z.float()
    scale = 1e-3 * (z.pow(2).mean() - 1).clamp(min=0) + 1e-3 * z.mean((0, 2, 3, 4)).pow(2).mean()
    return (weight * (d.abs() + 2.0 * d * d)).mean() + scale, mse


def decibel(mse: float) -> float:
    """PSNR for values spanning 2."""
    return float(10 * np.log10(4 / max(mse, 1e-12)))


@torch.no_grad()
def measure(
    vae: Vae, device: str, clips: int = 8, size: tuple[int, int, int] = (49, 256, 256)
) -> float:
    """The mean decibels of whole clips that training does not see."""
    rng = np.random.default_rng(99)
    total = 0.0
    for _ in range(clips):
        clip = draw([training_scene(rng)], *size, device=device)
        with autocast(device):
            y = vae.decoder(vae.encoder(clip))
        total += decibel(float(((y.float().clamp(-1, 1) - clip) ** 2).mean()))
    return total / clips


@torch.no_grad()
def set_statistics(vae: Vae, device: str, clips: int = 96) -> None:
    """Measures each latent channel over whole clips, first frames included."""
    rng = np.random.default_rng(7)
    vae.set_statistics(torch.zeros(1), torch.ones(1))
    rows = []
    for _ in range(clips // 8):
        x = draw([training_scene(rng) for _ in range(8)], 25, 256, 256, device=device)
        with autocast(device):
            rows.append(vae.encoder(x).float().transpose(0, 1).flatten(1))
    z = torch.cat(rows, 1)
    vae.set_statistics(z.mean(1), z.std(1).clamp(min=1e-3))


class Trainer:
    """Everything a step needs; its state can be saved and taken up again.

    With `decoder_only` the encoder and the statistics stay as `vae.pt` has them, so latents
    already computed keep their meaning while the decoder goes on learning.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        lr: float,
        muon_lr: float,
        decoder_only: bool,
        start: Path | None = None,
    ) -> None:
        self.folder, self.device, self.decoder_only = folder, device, decoder_only
        torch.manual_seed(1)
        self.vae, self.step, self.used = Vae(), 0, 0.0
        if decoder_only:
            self.vae.load_state_dict(torch.load(folder / "vae.pt", map_location="cpu"))
        elif start is not None:
            print("   not in the file:", start_from(self.vae, start), flush=True)
        elif (folder / "vae.pt").exists():
            self.vae.load_state_dict(torch.load(folder / "vae.pt", map_location="cpu"))
        self.vae.to(device)
        self.vae.to(memory_format=torch.channels_last_3d)
        self.average = Average(self.vae)
        self.peaks = [muon_lr, lr]
        self.trained = self.vae.decoder if decoder_only else self.vae
        self.optimizers = make_optimizers([self.trained], lr, muon_lr)
        self.resume = folder / ("decoder-train.pt" if decoder_only else "vae-train.pt")
        if self.resume.exists():
            state = torch.load(self.resume, map_location=device, weights_only=False)
            self.vae.load_state_dict(state["vae"])
            self.average.values = state["average"]
            for o, s in zip(self.optimizers, state["optimizers"], strict=True):
                o.load_state_dict(s)
            self.step, self.used = state["step"], state["used"]

    def keep(self, used: float) -> None:
        state = {
            "vae": self.vae.state_dict(),
            "average": self.average.values,
            "step": self.step,
            "used": used,
            "optimizers": [o.state_dict() for o in self.optimizers],
        }
        save(self.resume, state)
        torch.backends.cudnn.benchmark = False  # which tries all ways of every new size
        whole = Vae()
        whole.load_state_dict(self.average.values)
        whole.to(self.device)
        print(f"   average, whole clips: {measure(whole, self.device):.2f} dB", flush=True)
        if not self.decoder_only:
            set_statistics(whole, self.device)
        save(self.folder / "vae.pt", {k: v.cpu() for k, v in whole.state_dict().items()})
        torch.backends.cudnn.benchmark = True

    def train(self, minutes: float) -> None:
        seed = 19 if self.decoder_only else 11
        clock = Clock(minutes, self.used)
        parameters = list(self.trained.parameters())
        recent = torch.zeros((), device=self.device)
        while not clock.done:
            x = batch(np.random.default_rng((seed, self.step)), self.device)
            share = learning_rate(clock.share)
            loss, mse = loss_of(self.vae, x, self.decoder_only)
            loss.backward()
            step_all(self.optimizers, self.peaks, share, parameters)
            self.average.update(self.vae, self.step)
            self.step += 1
            recent += 0.05 * (mse.detach() - recent) if self.step > 1 else mse.detach()
            if clock.is_time_to_say():
                print(
                    f"vae step {self.step} {clock.used / 60:.1f} min  "
                    f"{decibel(float(recent)):.2f} dB  lr {share:.3f}",
                    flush=True,
                )
            if clock.is_time_to_keep():
                self.keep(clock.used)
        self.keep(clock.used)


def train(
    folder: Path,
    minutes: float,
    device: str,
    lr: float = 1e-3,
    muon_lr: float = 2e-3,
    decoder_only: bool = False,
    start: Path | None = None,
) -> None:
    """Trains for so many minutes; `start` is a GGUF file with the weights to begin with."""
    torch.backends.cudnn.benchmark = True
    Trainer(folder, device, lr, muon_lr, decoder_only, start).train(minutes)


def load(folder: Path, device: str = "cpu") -> Vae:
    vae = Vae()
    vae.load_state_dict(torch.load(folder / "vae.pt", map_location="cpu"))
    vae.to(device).eval().requires_grad_(False)
    return vae
