"""What both trainings share: Muon and Adam, a schedule, averages, checkpoints."""

import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

SAY_SECONDS, KEEP_SECONDS = 30.0, 300.0


def orthogonalise(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrices to `g` [n, rows, columns], by Newton and Schulz."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.shape[1] > g.shape[2]
    x = g.mT if tall else g
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(steps):
        gram = x @ x.mT
        gram = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # what is added costs no pass
        x = torch.baddbmm(x, gram, x, beta=a)
    return x.mT if tall else x


def orthogonalised(g: torch.Tensor) -> torch.Tensor:
    """`orthogonalise`, the matrices shared out among the processes, which hold the same `g`."""
    if not dist.is_initialized():
        return orthogonalise(g)
    parts = list(g.tensor_split(dist.get_world_size()))
    mine = dist.get_rank()
    for i, part in enumerate(parts):
        made = part.numel() and i == mine
        parts[i] = orthogonalise(part).contiguous() if made else part.bfloat16()
    for i, part in enumerate(parts):
        if part.numel():
            dist.broadcast(part, i)
    return torch.cat(parts)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised: for weights of two dimensions and more.

    Weights of one shape are updated together, which is what a GPU wants.
    """

    def __init__(self, params: Any, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for shape, same in shapes.items():
                for p in same:
                    if not self.state[p]:
                        self.state[p]["m"] = torch.zeros_like(p)
                grads = [p.grad for p in same]
                means = [self.state[p]["m"] for p in same]
                torch._foreach_lerp_(means, grads, 1 - group["momentum"])
                ahead = torch._foreach_lerp(grads, means, group["momentum"])
                g = torch.stack(ahead).reshape(len(same), shape[0], -1)
                scale = 0.2 * math.sqrt(max(g.shape[1:]))
                updates = orthogonalised(g).float().reshape(len(same), *shape)
                torch._foreach_add_(same, list(updates.unbind()), alpha=-group["lr"] * scale)


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
        "conv_pre",
        "conv_post",
    )
    for module in modules:
        for name, p in module.named_parameters():
            is_plain = p.ndim < 2 or any(word in name for word in plain)
            (other if is_plain else hidden).append(p)
        adam = torch.optim.Adam(other, lr=lr, betas=(0.9, 0.99), foreach=True)
    return [Muon(hidden, lr=muon_lr), adam]


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
        state = module.state_dict()
        floats = [k for k, v in state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.values[k] for k in floats], [state[k] for k in floats], 1 - keep)


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes next to the target and renames, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save(content, partial)
    partial.replace(path)


class Clock:
    """The seconds a stage has worked, of those it may; what was worked before counts."""

    def __init__(self, minutes: float, used: float = 0.0) -> None:
        self.whole, self.before, self.began = minutes * 60, used, time.monotonic()
        self.said = self.kept = self.began

    @property
    def used(self) -> float:
        return self.before + time.monotonic() - self.began

    @property
    def share(self) -> float:
        return min(self.used / self.whole, 1.0)

    @property
    def done(self) -> bool:
        return self.used >= self.whole

    def is_time_to_say(self) -> bool:
        now = time.monotonic()
        if now - self.said < SAY_SECONDS:
            return False
        self.said = now
        return True

    def is_time_to_keep(self) -> bool:
        now = time.monotonic()
        if now - self.kept < KEEP_SECONDS:
            return False
        self.kept = now
        return True


def autocast(device: str) -> torch.autocast:
    """Products in bfloat16, as both kinds of device have units for."""
    return torch.autocast(device.split(":")[0], torch.bfloat16)


def step_all(
    optimizers: list[torch.optim.Optimizer],
    peaks: list[float],
    share: float,
    parameters: list[nn.Parameter],
    most: float = 1.0,
) -> None:
    """One step at `share` of the peak rates; gradients that are not finite change nothing.

    Nothing here waits for the device: a norm that is not finite scales the gradients to zero.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack(torch._foreach_norm(grads)).norm()
    scale = torch.where(norm.isfinite(), (most / (norm + 1e-6)).clamp(max=1.0), 0.0)
    for g in grads:
        torch.nan_to_num_(g, 0.0, 0.0, 0.0)
    torch._foreach_mul_(grads, scale)
    for optimizer, peak in zip(optimizers, peaks, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = peak * share
        optimizer.step()
        optimizer.zero_grad()
