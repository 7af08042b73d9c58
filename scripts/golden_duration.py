#!/usr/bin/env python3
"""Golden file of the duration head: what diffusers makes of features, on a tiny and a full one.

    python scripts/golden_duration.py

Needs diffusers 0.42 with torch on the CPU. Everything is in float32.
"""

from __future__ import annotations

from typing import Any

import golden_files
import make_tiny
import numpy as np
import tiny_shapes
import torch
from diffusers.pipelines.ltx2.duration_head import LTX2DurationHead

ROWS = {"short": 32, "long": 300, "other": 32}  # name -> rows of features
RATES = (8.0, 24.0, 25.0, 59.94)


def features(name: str, sizes: dict[str, int]) -> Any:
    """Of the video and the sound, side by side: what all rows share tells prompts apart."""
    shape = (ROWS[name], sizes["video"] + sizes["audio"])
    shared = make_tiny.normal("golden", f"duration.{name}.{shape[1]}.all", (1, shape[1]))
    return make_tiny.normal("golden", f"duration.{name}.{shape[1]}", shape) + 2 * shared


def diffusers_name(name: str) -> str:
    return name.removeprefix("duration_head.").replace("cross_attn.out_proj", "to_out")


def head(sizes: dict[str, int]) -> LTX2DurationHead:
    width = sizes["width"]
    model = LTX2DurationHead(sizes["video"], sizes["audio"], width, 1, 4, width)
    weights: dict[str, torch.Tensor] = {}
    for name, shape in tiny_shapes.duration_head(sizes).items():
        value = torch.from_numpy(make_tiny.tensor("duration", name, shape))
        if ".in_proj_" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                own = name.replace("cross_attn.in_proj_", f"to_{part}.")
                weights[diffusers_name(own)] = third
        else:
            weights[diffusers_name(name)] = value
    model.load_state_dict(weights)
    return model.eval()


def made(sizes: dict[str, int]) -> dict[str, Any]:
    """Logarithms of seconds."""
    model = head(sizes)
    out: dict[str, Any] = {}
    for name in ROWS:
        both = torch.from_numpy(features(name, sizes))[None]
        video, audio = both.split([sizes["video"], sizes["audio"]], dim=2)
        for kind, given in (("both", (video, audio)), ("video", (video, None))):
            seconds = model(*given)
            out[f"{name}.{kind}"] = seconds.log().numpy()
            print(name, kind, float(seconds))
    return out


def snapped() -> dict[str, Any]:
    """How many frames at each of `RATES`, of so many seconds."""
    model = head(tiny_shapes.DURATION)
    seconds = np.array([1e-9, 0.5, 1.0, 1.04, 2.0, 3.02, 4.98, 7.77, 19.99, 20.0, 1e9], np.float32)
    frames = []
    for one in seconds:
        model.forward = lambda *_, one=one: torch.tensor([one])
        frames.append(
            [
                model.predict_num_frames(frame_rate=rate, temporal_compression_ratio=8)
                for rate in RATES
            ]
        )
    return {"seconds": seconds, "rates": np.array(RATES, np.float32),
            "frames": np.array(frames, np.int32)}  # fmt: skip


def main() -> None:
    torch.set_grad_enabled(False)
    full = {f"full.{key}": value for key, value in made(tiny_shapes.FULL_DURATION).items()}
    arrays = made(tiny_shapes.DURATION) | full | snapped()
    about = (__doc__ or "").split("\n")[0]
    packages = ("diffusers", "transformers", "torch", "numpy")
    golden_files.write("all-duration", arrays, "golden_duration.py", about, packages)


if __name__ == "__main__":
    main()
