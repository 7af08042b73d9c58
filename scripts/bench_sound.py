"""The parts of scripts/bench.py that are about sound.

From a video's audio latents to its samples, and the transformer's side for the sound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import full_shapes
import numpy as np
import tiny_sound

if TYPE_CHECKING:
    import torch


LATENTS = 126  # of five seconds of sound, as ltx2_bench has them too
WIDTH = 2048  # of the sound in the transformer


def config() -> dict[str, Any]:
    """LTX-2.3's, the groups of the audio VAE and of the vocoder."""
    whole = full_shapes.config()
    return {group: whole[group] for group in ("audio_vae", "vocoder")}


def write(w: Any) -> None:
    """Every tensor of the two, matrices as F16; values do not matter to the time."""
    stated = config()
    shapes = tiny_sound.audio_vae(stated["audio_vae"]) | tiny_sound.vocoder(stated["vocoder"])
    for name, shape in shapes.items():
        if len(shape) == 1:
            w.vector(name, *shape, value=1.0 if "std-of" in name else None)
        else:
            data = w.values(*shape) / math.sqrt(math.prod(shape[1:]))
            data = np.abs(data) if "mel_basis" in name else data
            w.out.add_tensor(name, data.astype(np.float16))


def write_transformer(w: Any) -> None:
    """The sound's side of one block, in the writer's type, and of what surrounds it, in F16."""
    kind = w.kind
    for name, shape in full_shapes.audio().items():
        block = re.search(r"transformer_blocks\.(\d+)\.", name)
        is_other_block = block is not None and block[1] != "0"
        if not name.startswith(full_shapes.DIT) or "connector" in name or is_other_block:
            continue
        w.kind = kind if block else "F16"
        if name.endswith(".weight") and len(shape) == 2:
            w.matrix(name, *shape)
        else:
            w.vector(name, *shape, value=0.17 if "_norm." in name else None)
    w.kind = kind


def _conv(shapes: dict[str, tuple[int, ...]], prefix: str, positions: float) -> float:
    return sum(2.0 * math.prod(s) * positions for n, s in shapes.items() if n.startswith(prefix))


def flops(latents: int) -> float:
    """Multiply-adds of one run, counted as two, of the convolutions."""
    stated = config()
    t = {
        name: shape
        for name, shape in (
            tiny_sound.audio_vae(stated["audio_vae"]) | tiny_sound.vocoder(stated["vocoder"])
        ).items()
        if len(shape) >= 3 and "filter" not in name and "basis" not in name
    }
    decoder, total = "audio_vae.decoder.", 0.0
    rows, bins = latents, 16
    total += _conv(t, decoder + "conv_in", rows * bins) + _conv(t, decoder + "mid", rows * bins)
    for level in (2, 1, 0):
        total += _conv(t, f"{decoder}up.{level}.block", rows * bins)
        if level:
            rows, bins = 2 * rows - 1, 2 * bins
            total += _conv(t, f"{decoder}up.{level}.upsample", rows * bins)
    total += _conv(t, decoder + "conv_out", rows * bins)
    for generator, group, positions in (
        ("vocoder", "vocoder", rows),
        ("bwe_generator", "bwe", 160 * rows // 80),
    ):
        rates = stated["vocoder"][group]["upsample_rates"]
        prefix = f"vocoder.{generator}."
        total += _conv(t, prefix + "conv_pre", positions)
        for i, rate in enumerate(rates):
            total += _conv(t, f"{prefix}ups.{i}.", positions)
            positions *= rate
            for block in range(3 * i, 3 * i + 3):
                total += _conv(t, f"{prefix}resblocks.{block}.", positions)
        total += _conv(t, prefix + "conv_post", positions)
    return total


def torch_run(latents: int, dtype: torch.dtype) -> Callable[[], list[float]]:
    """The official modules, which give the seconds of the decoder and of the vocoder."""
    import sys
    import time
    import types
    from importlib.machinery import ModuleSpec

    import torch

    absent = types.ModuleType("torchaudio")  # has no CPU build; nothing here uses it
    absent.__spec__ = ModuleSpec("torchaudio", None)
    absent.__dict__["transforms"] = types.ModuleType("torchaudio.transforms")
    sys.modules.setdefault("torchaudio", absent)
    from ltx_core.model.audio_vae.model_configurator import (
        AudioDecoderConfigurator,
        VocoderConfigurator,
    )

    decoder = AudioDecoderConfigurator.from_config(config()).to(dtype).eval()
    vocoder = VocoderConfigurator.from_config(config()).to(dtype).eval()
    for module in (decoder, vocoder):
        for buffer in module.buffers():
            buffer.fill_(0.01)
    latent = torch.randn(1, 8, latents, 16, dtype=dtype)

    def run() -> list[float]:
        begin = time.perf_counter()
        spectrogram = decoder(latent)
        middle = time.perf_counter()
        vocoder(spectrogram)
        return [middle - begin, time.perf_counter() - middle]

    return run
