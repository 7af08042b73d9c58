"""Stage 4: the bars, on prompts whose combinations training never saw."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import Scene, bar_scenes, caption, render
from PIL import Image
from sampling import first_frames, generate
from train_dit import load_model
from train_vae import load
from vision import judge, look, psnr


def to_frames(clips: torch.Tensor) -> np.ndarray:
    """[clips, frames, height, width, 3] uint8, truncated as the decoder's output is."""
    pixels = ((clips + 1) / 2).clamp(0, 1).mul(255).byte()
    frames: np.ndarray = pixels.permute(0, 2, 3, 4, 1).numpy()
    return frames


def sheet(frames: np.ndarray, path: Path, columns: int = 4, stills: int = 5) -> None:
    """A contact sheet: each clip a row of stills, the rows in columns."""
    picks = np.linspace(0, frames.shape[1] - 1, stills).round().astype(int)
    rows = [np.concatenate([clip[i] for i in picks], axis=1) for clip in frames]
    while len(rows) % columns:
        rows.append(np.zeros_like(rows[0]))
    stacks = [np.concatenate(rows[c::columns], axis=0) for c in range(columns)]
    image = Image.fromarray(np.concatenate(stacks, axis=1))
    image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX).save(path)


def score(scenes: list[Scene], frames: np.ndarray) -> dict[str, float]:
    verdicts = [
        judge(look(clip), scene.colour, scene.background, scene.motion)
        for scene, clip in zip(scenes, frames, strict=True)
    ]
    return {
        key: 100 * float(np.mean([getattr(v, key) for v in verdicts]))
        for key in ("all", "colour", "background", "motion")
    }


def evaluate(
    folder: Path, out: Path, count: int = 100, settings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Prints and returns the shares (in percent) that agree with their prompts."""
    vae, (model, prompts) = load(folder), load_model(folder, out)
    scenes = bar_scenes(count)
    texts = [caption(scene) for scene in scenes]
    t2v = to_frames(generate(model, vae, prompts, texts, settings, seed=1))
    images = first_frames(scenes)
    i2v = to_frames(generate(model, vae, prompts, texts, settings, images, seed=2))
    given = to_frames(images)[:, 0]
    first = [psnr(a, b) for a, b in zip(i2v[:, 0], given, strict=True)]
    result = {
        "prompts": count,
        "t2v": score(scenes, t2v),
        "i2v": score(scenes, i2v),
        "first_frame_db": {
            "mean": float(np.mean(first)),
            "lowest": float(np.min(first)),
            "share_25": 100 * float(np.mean([x >= 25 for x in first])),
        },
        "reference": score(scenes, to_frames(render(scenes, 25, 128, 128))),
    }
    sheet(t2v[:32], folder / "t2v.png")
    sheet(i2v[:32], folder / "i2v.png")
    print(json.dumps(result, indent=1), flush=True)
    return result
