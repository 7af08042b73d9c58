"""What both trainings share: Muon and Adam, a schedule, averages, checkpoints."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn


def orthogonalise(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrix to `g`, by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised: for weights of two dimensions and more."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].lerp_(p.grad, 1 - group["momentum"])
                g = p.grad.lerp(m, group["momentum"]).reshape(p.shape[0], -1)
                scale = 0.2 * math.sqrt(max(g.shape))
                p.add_(orthogonalise(g).reshape(p.shape), alpha=-group["lr"] * scale)


def make_optimizers(
    modules: list[nn.Module], lr: float, muon_lr: float
) -> list[torch.optim.Optimizer]:
    """Muon for hidden weights; Adam for vectors, tables, embeddings, first and last layers."""
    hidden: list[nn.Parameter] = []
    other: list[nn.Parameter] = []
    plain = (
        "embed_tokens",
        "registers",
        "table",
        "patchify_proj",
        "proj_out",
        "conv_in",
        "conv_out",
    )
    for module in modules:
        for name, p in module.named_parameters():
            is_plain = p.ndim < 2 or any(word in name for word in plain)
            (other if is_plain else hidden).append(p)
    return [Muon(hidden, lr=muon_lr), torch.optim.Adam(other, lr=lr, betas=(0.9, 0.99))]


def learning_rate(progress: float, warmup: float = 0.03, floor: float = 0.02) -> float:
    """The share of the peak rate at `progress` (0..1): warm-up, flat, then down in a cosine."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    if progress < 0.3:
        return 1.0
    x = min((progress - 0.3) / 0.7, 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * x))


class Average:
    """An exponential moving average of a module's parameters."""

    def __init__(self, module: nn.Module) -> None:
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int, decay: float = 0.998) -> None:
        keep = min(decay, (1 + step) / (10 + step))
        for k, v in module.state_dict().items():
            if v.is_floating_point():
                self.values[k].lerp_(v, 1 - keep)
            else:
                self.values[k].copy_(v)


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes next to the target and renames, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save(content, partial)
    partial.replace(path)


class Threads:
    """Two threads on a quiet machine; one for a while when other work makes two wait."""

    def __init__(self, most: int) -> None:
        self.most, self.rest = most, 0
        self.quick: list[float] = []

    def step(self, seconds: float) -> None:
        """Takes the time of a step: twice the usual means that a core is shared."""
        if self.most == 1:
            return
        if self.rest:
            self.rest -= 1
            if not self.rest:
                torch.set_num_threads(self.most)
            return
        self.quick = sorted([*self.quick[-30:], seconds])[:30]
        usual = self.quick[len(self.quick) // 3]
        if len(self.quick) > 10 and seconds > 2.2 * usual:
            self.rest = 8
            torch.set_num_threads(1)
