"""PyTorch's side of scripts/bench.py: `bench_torch.py PART SIZE DTYPE THREADS`.

Builds the official module of one part with random weights, then runs it once for each line on stdin
and prints the seconds.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import bench_models


def _dit(size: int, dtype: torch.dtype) -> Callable[[], object]:
    from ltx_core.guidance.perturbations import BatchedPerturbationConfig
    from ltx_core.model.transformer.modality import Modality
    from ltx_core.model.transformer.model_configurator import LTXVideoOnlyModelConfigurator

    model = LTXVideoOnlyModelConfigurator.from_config(bench_models.config()).to(dtype).eval()
    starts = torch.rand(1, 3, size, 1) * 20
    video = Modality(
        enabled=True,
        latent=torch.randn(1, size, 128, dtype=dtype),
        sigma=torch.tensor([0.9]),
        # Text to video has one timestep for all tokens; evaluated once, as ltx2 does.
        timesteps=torch.full((1, 1, 1), 0.9),
        positions=torch.cat([starts, starts + 1], dim=-1),
        context=torch.randn(1, 1024, bench_models.WIDTH, dtype=dtype),
        context_mask=None,
    )
    none = BatchedPerturbationConfig.empty(1)
    return lambda: model(video=video, audio=None, perturbations=none)


def _vae(part: str, size: int, dtype: torch.dtype) -> Callable[[], object]:
    from ltx_core.model.video_vae.model_configurator import (
        VideoDecoderConfigurator,
        VideoEncoderConfigurator,
    )

    side = size * 32
    if part == "decode":
        module = VideoDecoderConfigurator.from_config(bench_models.config())
        value = torch.randn(1, 128, 3, size, size, dtype=dtype)
    else:
        module = VideoEncoderConfigurator.from_config(bench_models.config())
        value = torch.randn(1, 3, 1, side, side, dtype=dtype)
    for tensor in module.per_channel_statistics.buffers():
        tensor.fill_(1.0)
    module = module.to(dtype).eval()
    return lambda: module(value)


def _gemma(size: int, dtype: torch.dtype) -> Callable[[], object]:
    from transformers import Gemma3TextConfig, Gemma3TextModel

    g = bench_models.GEMMA
    config = Gemma3TextConfig(
        vocab_size=g["vocab"], hidden_size=g["hidden"], intermediate_size=g["ffn"],
        num_hidden_layers=1, num_attention_heads=g["heads"], num_key_value_heads=g["kv"],
        head_dim=g["head"], sliding_window=1024,
    )  # fmt: skip
    model = Gemma3TextModel(config).to(dtype).eval()
    ids = (torch.arange(size) % 200)[None]
    return lambda: model(input_ids=ids, output_hidden_states=True, use_cache=False)


def _attention(size: int, dtype: torch.dtype) -> Callable[[], object]:
    q, k, v = (torch.randn(1, 32, size, bench_models.WIDTH // 32, dtype=dtype) for _ in range(3))
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)


def main() -> None:
    part, size, dtype, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    if part == "dit":
        run = _dit(size, kind)
    elif part == "attention":
        run = _attention(size, kind)
    elif part == "gemma":
        run = _gemma(size, kind)
    else:
        run = _vae(part, size, kind)
    with torch.inference_mode():
        for _ in sys.stdin:
            begin = time.perf_counter()
            run()
            print(f"{time.perf_counter() - begin:.6f}", flush=True)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}")


if __name__ == "__main__":
    main()
