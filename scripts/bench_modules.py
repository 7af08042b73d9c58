"""What `bench_torch.py` and `bench_openvino.py` share.

The official modules, with the weights of ltx2's file of the part, their inputs, and how a worker
answers.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import bench_models as models
import gguf
import torch

Laps = list[float]
# Runs once; the seconds of its stages, where it has some, and what it made, where that is compared.
Run = Callable[[], "Laps | torch.Tensor"]


def modality(
    latent: torch.Tensor, starts: torch.Tensor, context: torch.Tensor, sigma: float
) -> Any:
    from ltx_core.model.transformer.modality import Modality

    return Modality(
        enabled=True,
        latent=latent,
        sigma=torch.tensor([sigma]),
        # Text to video has one timestep for all tokens; evaluated once, as ltx2 does.
        timesteps=torch.full((1, 1, 1), sigma),
        positions=torch.cat([starts, starts + 1], dim=-1),
        context=context,
        context_mask=None,
    )


class Dit(torch.nn.Module):
    """Latents and context to velocities, with 64 tokens a frame as in tests/native/bench."""

    def __init__(self, size: int, layers: int = 1) -> None:
        from ltx_core.guidance.perturbations import BatchedPerturbationConfig
        from ltx_core.model.transformer.model_configurator import LTXVideoOnlyModelConfigurator

        super().__init__()
        self.model = LTXVideoOnlyModelConfigurator.from_config(models.config(layers))
        at = torch.arange(size)
        middle = torch.stack([0.1 * (at // 64), 16.0 + 32 * (at // 8 % 8), 16.0 + 32 * (at % 8)])
        self.starts = middle[None, :, :, None] - 0.5
        self.perturbations = BatchedPerturbationConfig.empty(1)

    def forward(
        self, latent: torch.Tensor, context: torch.Tensor, sigma: float = 0.9
    ) -> torch.Tensor:
        video = modality(latent, self.starts, context, sigma)
        made = self.model(video=video, audio=None, perturbations=self.perturbations)
        velocity: torch.Tensor = made[0]
        return velocity


def vae(part: str) -> torch.nn.Module:
    from ltx_core.model.video_vae.model_configurator import (
        VideoDecoderConfigurator,
        VideoEncoderConfigurator,
    )

    kind = VideoEncoderConfigurator if part == "encode" else VideoDecoderConfigurator
    module: torch.nn.Module = kind.from_config(models.config())
    for tensor in module.per_channel_statistics.buffers():
        tensor.fill_(1.0)
    return module.eval()


class Decoder(torch.nn.Module):
    """Latents to the values of pixels, as ltx2 has them: [frames, rows, columns, 3] of 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = vae("decode")

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        pixels = self.vae(latents)[0].permute(1, 2, 3, 0)
        return ((pixels + 1) * 127.5).clamp(0, 255).floor()


class Gemma(torch.nn.Module):
    """Token ids to the hidden states of all layers.

    OpenVINO cannot trace how transformers makes its masks: `masked`, they are given, for no more
    tokens than a window of the local layers has.
    """

    masked = False

    def __init__(self, layers: int = 1) -> None:
        from transformers import Gemma3TextConfig, Gemma3TextModel

        super().__init__()
        g = models.GEMMA
        config = Gemma3TextConfig(
            vocab_size=g["vocab"], hidden_size=g["hidden"], intermediate_size=g["ffn"],
            num_hidden_layers=layers, num_attention_heads=g["heads"],
            num_key_value_heads=g["kv"], head_dim=g["head"], sliding_window=1024,
        )  # fmt: skip
        Gemma3TextModel.init_weights = lambda _self: None
        self.model = Gemma3TextModel(config)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        count, masks = ids.shape[1], None
        if self.masked:
            mask = torch.full((1, 1, count, count), float("-inf")).triu(1)
            masks = {"full_attention": mask, "sliding_attention": mask}
        made = self.model(input_ids=ids, attention_mask=masks, use_cache=False)
        state: torch.Tensor = made.last_hidden_state
        return state


class Connector(torch.nn.Module):
    """The prompt's own rows to those that the transformer attends to, of as many layers as a video
    of bench.py times."""

    def __init__(self) -> None:
        from ltx_core.model.transformer.rope import LTXRopeType
        from ltx_core.text_encoders.gemma.embeddings_connector import Embeddings1DConnector

        super().__init__()
        self.model = Embeddings1DConnector(
            num_attention_heads=models.HEADS, attention_head_dim=128,
            num_layers=models.VIDEO["connector"], positional_embedding_max_pos=[4096],
            num_learnable_registers=128, rope_type=LTXRopeType.SPLIT, double_precision_rope=True,
            apply_gated_attention=True,
        )  # fmt: skip

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        free = models.TEXT - rows.shape[1]
        mask = torch.zeros(1, 1, 1, models.TEXT, dtype=rows.dtype)
        mask[..., :free] = torch.finfo(rows.dtype).min
        made: torch.Tensor = self.model(torch.nn.functional.pad(rows, (0, 0, free, 0)), mask)[0]
        return made


MODULES: dict[str, Callable[[int], torch.nn.Module]] = {
    "dit": Dit,
    "decode": lambda _: Decoder(),
    "gemma": lambda _: Gemma(),
    "connector": lambda _: Connector(),
}


def _values(*shape: int) -> torch.Tensor:
    return torch.from_numpy(models.normal(math.prod(shape)).reshape(shape))


def inputs_of(part: str, size: int) -> tuple[torch.Tensor, ...]:
    """What tests/native/bench gives the part as well."""
    if part == "dit":
        return _values(1, size, 128), _values(1, models.TEXT, models.WIDTH)
    if part == "connector":
        return (_values(1, size, models.WIDTH),)
    if part == "decode":
        cells = _values(*models.grid(part, size), 128)  # as ltx2 has them
        return (cells.permute(3, 0, 1, 2)[None].contiguous(),)
    return ((torch.arange(size) % 200)[None],)


def module_of(part: str, size: int) -> torch.nn.Module:
    """One of MODULES in float32, with the weights that ltx2's file has."""
    module = MODULES[part](size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, 1)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if part == "gemma" and "norm" in name:
                weight.zero_()  # to which Gemma adds one
                continue
            own = names.get_name(name, (".weight",)) if part == "gemma" else name
            weight.copy_(torch.from_numpy(models.parameter(str(own), tuple(weight.shape))))
    return module.eval()


def answer(
    run: Run, synchronize: Callable[[], None] | None = None, out: TextIO = sys.stdout
) -> None:
    """Run once for each line on stdin and print the seconds, behind them those of the stages; for
    "save PATH", write there what the last run made, as 32-bit floats; at the end, the peak memory
    in MiB."""
    made: Laps | torch.Tensor = []
    with torch.inference_mode():
        for line in sys.stdin:
            if line.startswith("save "):
                assert isinstance(made, torch.Tensor)
                Path(line[5:].strip()).write_bytes(made.float().cpu().numpy().tobytes())
                print("0", file=out, flush=True)
                continue
            begin = time.perf_counter()
            made = run()
            if synchronize:
                synchronize()
            laps = made if isinstance(made, list) else []
            seconds = (time.perf_counter() - begin, *laps)
            print(*(f"{s:.6f}" for s in seconds), file=out, flush=True)
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}", file=out, flush=True)
