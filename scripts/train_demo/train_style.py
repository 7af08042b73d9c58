"""Stage: a style for the finished model, a LoRA by which every shape has a smiling face.

Trained as the transformer was, on clips whose shapes smile and whose captions do not say so; one
clip in eight is a drawn scene, which stays as it is.
"""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import torch
from model import Size, TextToClip, in_bfloat16
from optim import Clock, learning_rate, save, step_all
from pool import Pool, Source
from scenes import Scene, Shapes
from torch import nn
from train_dit import FIRST_FRAMES, flow_loss, load_model
from world import training_scene

RANK = 8
TARGETS = {
    *(f"attn1.to_{name}" for name in ("q", "k", "v", "out.0")),
    "attn2.to_out.0",
    "ff.net.0.proj",
    "ff.net.2",
}
SIZES = [(Size(49, 256, 256), 1200, 0.9), (Size(49, 128, 128), 200, 0.1)]
DRAWN = 0.125  # share of clips without shapes
TOKENS = {"cuda": 32768, "cpu": 1024}


def smiling(rng: np.random.Generator) -> Scene:
    scene = training_scene(rng, scenes=DRAWN)
    return dataclasses.replace(scene, smile=True) if isinstance(scene, Shapes) else scene


class Adapter:
    """What a LoRA adds to one matrix."""

    def __init__(self, layer: nn.Linear) -> None:
        wide = {"device": layer.weight.device, "dtype": torch.float32}
        self.down = nn.Parameter(torch.empty(RANK, layer.in_features, **wide))
        self.up = nn.Parameter(torch.zeros(layer.out_features, RANK, **wide))
        nn.init.normal_(self.down, std=1 / math.sqrt(layer.in_features))
        layer.register_forward_hook(self._add)

    def _add(self, _: nn.Module, inputs: tuple[torch.Tensor, ...], y: torch.Tensor) -> torch.Tensor:
        kind = y.dtype
        return y + (inputs[0] @ self.down.to(kind).T) @ self.up.to(kind).T


def attach(model: TextToClip) -> dict[str, Adapter]:
    """By the official names of the matrices of the video's stream."""
    return {
        name: Adapter(layer)
        for name, layer in model.dit.named_modules()
        if isinstance(layer, nn.Linear) and name.partition("s.")[2].partition(".")[2] in TARGETS
    }


def tensors(adapters: dict[str, Adapter]) -> dict[str, torch.Tensor]:
    """As official LoRA files name them."""
    made = {}
    for name, adapter in adapters.items():
        for kind, value in (("A", adapter.down), ("B", adapter.up)):
            value = value.detach().cpu().bfloat16().contiguous()
            made[f"diffusion_model.{name}.lora_{kind}.weight"] = value
    return made


def train(
    folder: Path, out: Path, minutes: float, device: str, clips: float = 1.0, lr: float = 2e-3
) -> None:
    """The time for encoding the clips is of the minutes."""
    began = time.monotonic()
    model, prompts = load_model(folder, out, device)
    model = in_bfloat16(model)
    torch.manual_seed(5)
    adapters = attach(model)
    parameters = [p for adapter in adapters.values() for p in (adapter.down, adapter.up)]
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.99), foreach=True)
    source = Source(folder, prompts, device, 51)
    pools = [Pool(size, max(2, round(count * clips)), device) for size, count, _ in SIZES]
    for pool in pools:
        source.fill(pool, pool.clips, smiling)
    clock, step = Clock(minutes - (time.monotonic() - began) / 60), 0
    print(
        f"style: {sum(p.clips for p in pools)} clips in {time.monotonic() - began:.1f} s",
        flush=True,
    )
    shares = [share for *_, share in SIZES]
    recent = torch.zeros((), device=device)
    while not clock.done:
        rng = np.random.default_rng((53, step))
        pool = pools[int(rng.choice(len(pools), p=shares))]
        given = pool.size.first if rng.random() < FIRST_FRAMES / 2 else 0
        count = max(1, TOKENS[device.split(":")[0]] // (pool.size.tokens + pool.size.sounds))
        # The sound is the transformer's own; it is there because the model is used so.
        loss = flow_loss(model, pool.draw(count), pool.size, given, rng.random() < 0.2)
        loss.backward()
        step_all([optimizer], [lr], learning_rate(clock.share), parameters)
        step += 1
        recent += (0.05 if step > 1 else 1.0) * (loss.detach() - recent)
        if clock.is_time_to_say():
            print(f"style step {step} {clock.used:.0f} s  loss {float(recent):.4f}", flush=True)
        if clock.is_time_to_keep():
            save(folder / "smile.pt", tensors(adapters))
    save(folder / "smile.pt", tensors(adapters))
