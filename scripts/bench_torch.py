"""PyTorch's side of scripts/bench.py: `bench_torch.py PART SIZE DTYPE THREADS [DEVICE]`.

Builds the official modules of one part with random weights, then runs them for each line on stdin.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
import bench_family
import bench_models as models
import bench_modules as modules
import bench_sound
import bench_upsampler
from bench_modules import Laps, Run

States = tuple[torch.Tensor, ...]


def cheap_weights() -> None:
    """New layers take repeated random values: drawing gigabytes of them takes longer than a run."""
    some = torch.randn(1 << 20)

    def fill(layer: torch.nn.Linear | torch.nn.Conv3d) -> None:
        weight = layer.weight.data
        flat, scale = weight.view(-1), 1 / math.sqrt(weight[0].numel())
        for begin in range(0, flat.numel(), some.numel()):
            piece = flat[begin : begin + some.numel()]
            piece.copy_(some[: piece.numel()] * scale)
        if layer.bias is not None:
            layer.bias.data.zero_()

    torch.nn.Linear.reset_parameters = fill
    torch.nn.modules.conv._ConvNd.reset_parameters = fill


def _compared(part: str, size: int, dtype: torch.dtype) -> Run:
    module = modules.module_of(part, size).to(dtype)
    device = torch.get_default_device()
    inputs = [
        v.to(device, dtype if v.is_floating_point() else v.dtype)
        for v in modules.inputs_of(part, size)
    ]
    return lambda: module(*inputs)


def _velocity(size: int, dtype: torch.dtype, layers: int) -> Callable[..., torch.Tensor]:
    module = modules.Dit(size, layers).to(dtype).eval()

    def velocity(latent: torch.Tensor, context: torch.Tensor, sigma: float) -> torch.Tensor:
        made: torch.Tensor = module(latent.to(dtype), context, sigma)
        return made

    return velocity


def _blocks(size: int, dtype: torch.dtype) -> Run:
    velocity = _velocity(size, dtype, models.BLOCKS)
    latent = torch.randn(1, size, 128)
    context = torch.randn(1, models.TEXT, models.WIDTH, dtype=dtype)
    return lambda: velocity(latent, context, 0.9)


def _joint(size: int, dtype: torch.dtype) -> Run:
    from ltx_core.guidance.perturbations import BatchedPerturbationConfig
    from ltx_core.model.transformer.model_configurator import LTXModelConfigurator

    model = LTXModelConfigurator.from_config(models.config()).to(dtype).eval()
    video, audio = (
        modules.modality(
            torch.randn(1, tokens, 128, dtype=dtype), torch.rand(1, axes, tokens, 1) * 5,
            torch.randn(1, models.TEXT, width, dtype=dtype), 0.9,
        )
        for tokens, axes, width in (
            (size, 3, models.WIDTH), (bench_sound.LATENTS, 1, bench_sound.WIDTH)
        )
    )  # fmt: skip
    none = BatchedPerturbationConfig.empty(1)

    def run() -> Laps:
        model(video=video, audio=audio, perturbations=none)
        return []

    return run


def _pictures(part: str, size: int, dtype: torch.dtype) -> Run:
    module, side = modules.vae(part).to(dtype), size * 32
    shape = (1, 3, 1, side, side) if part == "encode" else (1, 128, *models.grid(part, size))
    value = torch.randn(*shape, dtype=dtype)

    def run() -> Laps:
        module(value)
        return []

    return run


def _hidden_states(size: int, dtype: torch.dtype, layers: int) -> Callable[..., States]:
    model = modules.Gemma(layers).model.to(dtype).eval()
    ids = (torch.arange(size) % 200)[None]

    def states(padding: int = 0) -> States:
        """With `padding` positions on the left, masked, as the official encoder has them."""
        hidden: States = model(
            input_ids=torch.nn.functional.pad(ids, (padding, 0)),
            attention_mask=torch.nn.functional.pad(torch.ones_like(ids), (padding, 0)),
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        return hidden

    return states


def _gemma4(size: int, dtype: torch.dtype) -> Run:
    from transformers.models.gemma4_unified import modeling_gemma4_unified as gemma4

    g = bench_family.GEMMA4
    local, full = g["local"], g["global"]
    config = gemma4.Gemma4UnifiedTextConfig(
        vocab_size=g["vocab"], hidden_size=g["hidden"], intermediate_size=g["ffn"],
        num_hidden_layers=2, num_attention_heads=g["heads"], num_key_value_heads=local["kv"],
        head_dim=local["head"], num_global_key_value_heads=full["kv"],
        global_head_dim=full["head"], attention_k_eq_v=True, sliding_window=1024,
        layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    gemma4.Gemma4UnifiedTextModel.init_weights = lambda _self: None
    model = gemma4.Gemma4UnifiedTextModel(config).to(dtype).eval()
    ids = (torch.arange(size) % 200)[None]

    def run() -> Laps:
        model(input_ids=ids, use_cache=False)
        return []

    return run


def _attention(size: int, dtype: torch.dtype, head: int = 128) -> Run:
    q, k, v = (torch.randn(1, models.WIDTH // head, size, head, dtype=dtype) for _ in range(3))

    def run() -> Laps:
        torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return []

    return run


def _context(dtype: torch.dtype) -> Callable[[States], torch.Tensor]:
    """Hidden states of the prompt's own tokens -> the rows that the DiT attends to."""
    from ltx_core.text_encoders.gemma.feature_extractor import FeatureExtractorV2

    hidden = models.GEMMA["hidden"]
    project = torch.nn.Linear(hidden * (models.VIDEO["gemma"] + 1), models.WIDTH)
    features = FeatureExtractorV2(project, hidden).to(dtype).eval()
    connector = modules.Connector().to(dtype).eval()
    tokens = torch.ones(1, models.PROMPT, dtype=torch.int64)

    def context(states: States) -> torch.Tensor:
        rows: torch.Tensor = connector(features(states, tokens)[0])
        return rows

    return context


def _video(steps: int, dtype: torch.dtype) -> Run:
    """Every part of a video; the decoder in float32, where it is fastest.

    The text twice: alone, which goes on, and last with the padding of the official encoder.
    """
    states = _hidden_states(models.PROMPT, dtype, models.VIDEO["gemma"])
    context = _context(dtype)
    velocity = _velocity(models.VIDEO_TOKENS, dtype, models.VIDEO["denoise"])
    decoder = modules.vae("decode")
    noise = torch.randn(1, models.VIDEO_TOKENS, 128)
    sigmas = torch.linspace(1, 0, models.STEPS + 1).tolist()

    def run() -> Laps:
        times = [time.perf_counter()]
        encoded = states()
        times.append(time.perf_counter())
        rows = context(encoded)
        times.append(time.perf_counter())
        x = noise
        for now, then in pairwise(sigmas[: steps + 1]):
            x = x + velocity(x, rows, now).float() * (then - now)
        times.append(time.perf_counter())
        decoder(x.transpose(1, 2).reshape(1, 128, 3, models.CELLS, models.CELLS))
        times.append(time.perf_counter())
        states(models.TEXT - models.PROMPT)
        times.append(time.perf_counter())
        return [end - begin for begin, end in pairwise(times)]

    return run


def _square(size: int, dtype: torch.dtype) -> Run:
    """A product of square matrices: what the multipliers do at best."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)

    def run() -> Laps:
        torch.mm(a, b)
        return []

    return run


def main() -> None:
    part, size, dtype, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(threads)
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    if device != "cpu":
        torch.set_default_device(device)
    cheap_weights()
    kind = getattr(torch, dtype)
    if part in models.COMPARED:
        run = _compared(part, size, kind)
    elif part in ("decode", "clip", "encode"):
        run = _pictures(part, size, kind)
    elif part == "sound":
        run = bench_sound.torch_run(size, kind)
    elif part == "upsample":
        run = bench_upsampler.torch_run(size, kind)
    else:
        makers: dict[str, Callable[[int, torch.dtype], Run]] = {
            "blocks": _blocks,
            "square": _square,
            "joint": _joint,
            "gemma4": _gemma4,
            "attention": _attention,
            "attention64": partial(_attention, head=64),
            "video": _video,
        }
        run = makers[part](size, kind)
    modules.answer(run, torch.cuda.synchronize if device != "cpu" else None)


if __name__ == "__main__":
    main()
