"""Stage: the official files - one of all parts, the upsampler, a LoRA - and a Gemma 3 folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
import train_upsampler
from config import CONFIG, MODEL_VERSION, UPSAMPLER
from model import TextToClip, gemma_config, parameters
from safetensors.torch import save_file
from text import prompts_in
from torch import nn
from train_sound import AudioVae, load_vocoder
from train_vae import Vae
from world import caption, training_scene

SENTENCES = (
    "a red circle moves right on a blue background",
    "sunset over the sea",
    "an orange cat walks left on grass",
)
# Sides and frames that it draws well, as measured through ltx2.
SIDES, FRAMES = (128, 512), (1, 97)


def _write(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata)
    partial.chmod(0o644)
    partial.replace(path)
    print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size / 1e6:.2f} MB", flush=True)


def _halves(module: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    """Of an autoencoder, whose halves have the same statistics."""
    tensors = {}
    for side in ("encoder", "decoder"):
        for name, value in parameters(getattr(module, side)).items():
            whose = prefix if name.startswith("per_channel_statistics.") else f"{prefix}{side}."
            tensors[whose + name] = value
    return tensors


def all_tensors(
    model: TextToClip, vae: Vae, sound: AudioVae, vocoder: nn.Module
) -> dict[str, torch.Tensor]:
    """Every tensor of the single file, under its official name."""
    root = "model.diffusion_model."
    tensors = {root + name: value for name, value in parameters(model.dit).items()}
    for prefix, module in (
        (root + "video_embeddings_connector.", model.connector),
        (root + "audio_embeddings_connector.", model.audio_connector),
        ("text_embedding_projection.", model.projection),
        ("vocoder.", vocoder),
    ):
        tensors |= {prefix + name: value for name, value in parameters(module).items()}
    return tensors | _halves(vae, "vae.") | _halves(sound, "audio_vae.")


def limits() -> dict[str, object]:
    """What ltx2 warns of: the words of the captions, and sizes beyond those measured."""
    rng = np.random.default_rng(6)
    texts = (caption(training_scene(rng), rng) for _ in range(20000))
    words = {word for text in texts for word in re.findall(r"\w+", text.lower())}
    return {
        "sentences": list(SENTENCES),
        "sides": list(SIDES),
        "frames": list(FRAMES),
        "words": sorted(words),
    }


def export(folder: Path, out: Path) -> None:
    """Writes what `folder` has trained so far; a part not trained yet is random."""
    torch.manual_seed(2)
    out.mkdir(parents=True, exist_ok=True)
    gemma = out / "gemma"
    prompts = prompts_in(gemma)
    vae, sound, vocoder = Vae(), AudioVae(), load_vocoder(folder, "cpu")
    model = TextToClip(prompts.size)
    for part, name in ((vae, "vae"), (sound, "sound"), (model, "dit")):
        if (folder / f"{name}.pt").exists():
            part.load_state_dict(torch.load(folder / f"{name}.pt", map_location="cpu"))
        else:
            print(f"{name} is not trained yet", flush=True)
    metadata = {"config": json.dumps(CONFIG), "model_version": MODEL_VERSION}
    tensors = all_tensors(model, vae, sound, vocoder)
    _write(tensors, out / "ltx2-demo.safetensors", metadata)
    upsampler = parameters(train_upsampler.load(folder))
    metadata = {"config": json.dumps(UPSAMPLER)}
    _write(upsampler, out / "ltx2-demo-upsampler.safetensors", metadata)
    if (folder / "smile.pt").exists():
        adapters = torch.load(folder / "smile.pt", map_location="cpu")
        _write(adapters, out / "ltx2-demo-smile.safetensors", {"format": "pt"})
    config = gemma_config(prompts.size).to_dict()
    config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 2)
    config["model_type"] = "gemma3_text"
    (gemma / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tensors = {f"model.{name}": value for name, value in parameters(model.gemma).items()}
    _write(tensors, gemma / "model.safetensors", {"format": "pt"})
    (out / "limits.json").write_text(json.dumps(limits(), indent=1) + "\n")
