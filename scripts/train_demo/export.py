"""Stage 3: the official single-file format and a Hugging Face Gemma 3 folder."""

import json
from pathlib import Path

import torch
from config import CONFIG, MODEL_VERSION
from model import TextToVideo, gemma_config, parameters
from safetensors.torch import save_file
from text import Prompts, build
from train_vae import Vae


def _write(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata)
    partial.chmod(0o644)
    partial.replace(path)


def video_tensors(model: TextToVideo, vae: Vae) -> dict[str, torch.Tensor]:
    """Every tensor of the single file, under its official name."""
    tensors = {}
    for name, value in parameters(model.dit).items():
        tensors[f"model.diffusion_model.{name}"] = value
    for name, value in parameters(model.connector).items():
        tensors[f"model.diffusion_model.video_embeddings_connector.{name}"] = value
    for name, value in parameters(model.projection).items():
        tensors[f"text_embedding_projection.{name}"] = value
    for side in ("encoder", "decoder"):
        for name, value in parameters(getattr(vae, side)).items():
            whose = "vae." if name.startswith("per_channel_statistics.") else f"vae.{side}."
            tensors[whose + name] = value
    return tensors


def export(folder: Path, out: Path) -> None:
    """Writes what `folder` has trained so far; a part not trained yet is random."""
    torch.manual_seed(2)
    out.mkdir(parents=True, exist_ok=True)
    gemma = out / "gemma"
    if not (gemma / "tokenizer.json").exists():
        build(gemma)
    prompts = Prompts(gemma)
    vae, model = Vae(), TextToVideo(prompts.size)
    for part, name in ((vae, "vae.pt"), (model, "dit.pt")):
        if (folder / name).exists():
            part.load_state_dict(torch.load(folder / name))
    metadata = {"config": json.dumps(CONFIG), "model_version": MODEL_VERSION}
    _write(video_tensors(model, vae), out / "ltx2-demo.safetensors", metadata)
    config = gemma_config(prompts.size).to_dict()
    config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 2)
    config["model_type"] = "gemma3_text"
    (gemma / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tensors = {f"model.{name}": value for name, value in parameters(model.gemma).items()}
    _write(tensors, gemma / "model.safetensors", {"format": "pt"})
