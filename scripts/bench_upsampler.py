"""The part of scripts/bench.py that makes latents larger: the spatial upsampler, times 2."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import full_shapes
import numpy as np

if TYPE_CHECKING:
    import torch

FRAMES = 3  # of the latents, as of those that the part `decode` takes


def write(w: Any) -> None:
    """Every tensor, matrices as F16; GGUF has four sides at most."""
    for name, shape in full_shapes.upsampler().items():
        if len(shape) == 1:
            w.vector(name, *shape, value=1.0 if "norm" in name else None)
            continue
        folded = shape if len(shape) == 4 else (shape[0] * shape[1], *shape[2:])
        data = w.values(*folded) / math.sqrt(math.prod(shape[1:]))
        w.out.add_tensor(name, data.astype(np.float16))


def flops(side: int) -> float:
    """Multiply-adds of one run, counted as two; the dense count."""
    cells = FRAMES * side * side
    late = ("post_upsample_res_blocks", "final_conv")
    return sum(
        2.0 * math.prod(shape) * cells * (4 if name.startswith(late) else 1)
        for name, shape in full_shapes.upsampler().items()
        if len(shape) > 1
    )


def torch_run(side: int, dtype: torch.dtype) -> Callable[[], list[float]]:
    """The official module."""
    import torch
    from ltx_core.model.upsampler.model_configurator import LatentUpsamplerConfigurator

    stated = {"in_channels": 128, **full_shapes.UPSAMPLER, "spatial_upsample": True}
    upsampler = LatentUpsamplerConfigurator.from_config(stated).to(dtype).eval()
    latents = torch.randn(1, 128, FRAMES, side, side, dtype=dtype)

    def run() -> list[float]:
        upsampler(latents)
        return []

    return run
