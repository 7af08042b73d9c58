#!/usr/bin/env python3
"""Golden file of the recipe dfr: what diffusers' pipelines make of the tiny LTX-2.5 from a seed.

    python scripts/golden_dfr.py

Needs diffusers 0.42 beside what make_golden.py needs. Layout, what each pass begins with, and the
loops are diffusers'; the transformer and the upsamplers are ltx-core's, as golden_v25.py has them;
contexts are those of v25-clip.npz, and random numbers the seed's, as native/src has them.
"""

from __future__ import annotations

import itertools
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

import golden_files
import golden_hq
import golden_joint
import golden_sampling
import golden_sound
import golden_text
import make_tiny
import numpy as np
import reference as ref
import torch
from condition_cases import DETAILED
from diffusers import LTXEulerAncestralRFScheduler
from diffusers.models.transformers.transformer_ltx2 import LTX2AudioVideoRotaryPosEmbed
from diffusers.pipelines.ltx2 import dfr_layout as layout
from diffusers.pipelines.ltx2 import pipeline_ltx2_dfr as whole
from diffusers.pipelines.ltx2 import pipeline_ltx2_dfr_temporal_refine as temporal
from diffusers.pipelines.ltx2.utils import STAGE_2_DISTILLED_SIGMA_VALUES, trim_canvas
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers import scheduling_ltx_euler_ancestral_rf as ancestral
from golden_v25 import Newer
from ltx_core.model.transformer.modality import Modality
from reference import Arrays, Reference, array
from seed_noise import FRESH, SOUND, STAGE, normal_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED, FPS = 7, 24.0
DETAILING_LORA_STRENGTH = 0.5  # as ltx_pipelines.dfr_pipeline has it
# frames, height, width, doublings, {frame: (picture, strength)}
Pictures: TypeAlias = dict[int, tuple[str, float]]
CASES: dict[str, tuple[int, int, int, int, Pictures]] = {
    "still": (25, 64, 64, 0, {}),
    "twice": (41, 64, 64, 2, {0: ("wide", 1), 16: ("tall", 1)}),
    "part": (25, 64, 64, 0, {0: ("wide", 0.5), 16: ("tall", 0.5)}),
    "half": (41, 64, 64, 1, {0: ("wide", 0.5), 16: ("tall", 0.5)}),
    "detail": (41, 64, 64, 0, {}),  # with a LoRA that has learnt to add it, in the second stage
}
LAYOUTS = (9, 17, 25, 33, 41, 65, 97, 121, 241)


def layouts() -> Arrays:
    """Of videos of so many frames: canvas, segment, its borders; of each doubling the tiles."""
    out: Arrays = {}
    for asked in LAYOUTS:
        frames, segment, positions = layout.resolve_canvas(asked)
        numbers = [frames, segment, *positions]
        for doubling in (1, 2):
            frames, positions = 2 * frames - 1, [2 * p for p in positions]
            carried = set(positions)
            for tile in layout.temporal_tile_plan(positions, frames, 2**doubling):
                interval = tile.interval
                slots = [slot - tile.pixel_start for slot in tile.slots]
                numbers += [interval.start, interval.end, interval.left_ramp]
                numbers += [*tile.anchors, *slots]
                carried |= set(tile.slots)
            positions = sorted(carried)
        out[f"layout.{asked}"] = np.array(numbers, np.int32)
    return out


class Noise:
    """Of the seed. A pass, or a tile of one, is a stage, whose groups are the video and frames."""

    def __init__(self) -> None:
        self.stage = -1
        self.draws = itertools.count()
        self.cells = 0  # of a frame of latents
        self.frames = 0  # of the video's

    def begin(self, frames: int, cells: int) -> None:
        self.stage, self.draws = self.stage + 1, itertools.count()
        self.frames, self.cells = frames, cells

    def tokens(self, shape: Sequence[int], **_: Any) -> torch.Tensor:
        """What a pass begins with."""
        tokens, channels = shape[1:]
        if channels == 128:  # the sound
            planes = normal_noise(SEED, self.stage * STAGE + SOUND, tokens * channels)
            return torch.from_numpy(planes.reshape(channels, tokens).T.copy())[None]
        # the reference of a second stage has a cell where the video has four
        left = tokens - self.frames * self.cells
        given = self.frames * self.cells // 4 if left % self.cells else 0
        counts = [self.frames * self.cells, *[self.cells] * ((left - given) // self.cells)]
        rows = [
            normal_noise(SEED, self.stage * STAGE + i, channels * count).reshape(channels, -1).T
            for i, count in enumerate([*counts, given] if given else counts)
        ]
        return torch.from_numpy(np.concatenate(rows))[None]

    def fresh(self, shape: Sequence[int], **_: Any) -> torch.Tensor:
        """What a step adds."""
        stream = self.stage * STAGE + FRESH + next(self.draws)
        return torch.from_numpy(normal_noise(SEED, stream, int(np.prod(shape)))).reshape(*shape)


class Transformer:
    """ltx-core's, called as diffusers' is."""

    def __init__(self, r: Reference) -> None:
        self.newer = Newer.of(r, [])
        self.model = self.newer.joint()
        self.config = SimpleNamespace(
            in_channels=8, patch_size=1, patch_size_t=1, use_keyframes_abs_pos_embedding=True
        )
        self.rope = LTX2AudioVideoRotaryPosEmbed(64, rope_type="split", num_attention_heads=2)
        self.audio_rope = LTX2AudioVideoRotaryPosEmbed(
            32, modality="audio", scale_factors=(4,), rope_type="split", num_attention_heads=2
        )

    def __call__(
        self, *, hidden_states: torch.Tensor, audio_hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor, audio_encoder_hidden_states: torch.Tensor,
        timestep: torch.Tensor, audio_timestep: torch.Tensor, sigma: torch.Tensor,
        audio_sigma: torch.Tensor, video_keyframes_mask: torch.Tensor,
        video_coords: torch.Tensor, audio_coords: torch.Tensor, **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        self.newer.marked = tuple(video_keyframes_mask[0, :, 0].nonzero()[:, 0].tolist())
        count = audio_hidden_states.shape[1]
        video = Modality(
            hidden_states, sigma / 1000, (timestep / 1000)[..., None], video_coords,
            encoder_hidden_states,
        )  # fmt: skip
        audio = Modality(
            audio_hidden_states, audio_sigma / 1000,
            (audio_timestep / 1000)[:, None, None].expand(-1, count, 1), audio_coords,
            audio_encoder_hidden_states,
        )  # fmt: skip
        made: tuple[torch.Tensor, torch.Tensor] = self.model(video, audio, None)
        return made


class Bar:
    """No progress is shown."""

    def update(self) -> None: ...
    def close(self) -> None: ...


def parts(r: Reference, up: dict[str, Any]) -> dict[str, Any]:
    """What the pipelines' own __init__ would read of a folder."""
    statistics = r.decoder().per_channel_statistics
    with np.load(golden_files.GOLDEN / "v25-clip.npz") as clip:
        context = torch.from_numpy(clip["features"])[None]
    return {
        "transformer": Transformer(r),
        "vae": SimpleNamespace(
            latents_mean=statistics.get_buffer("mean-of-means"),
            latents_std=statistics.get_buffer("std-of-means"),
            config=SimpleNamespace(scaling_factor=1.0, timestep_conditioning=False),
        ),
        "audio_vae": SimpleNamespace(
            latents_mean=torch.zeros(1), latents_std=torch.ones(1),
        ),
        "connectors": lambda *_, **__: (context[..., :64], context[..., 64:], None),
        "encode_prompt": lambda **given: (given["prompt_embeds"], None),
        "check_inputs": lambda **_: None,
        "progress_bar": lambda **_: Bar(),
        "maybe_free_model_hooks": lambda: None,
        "tokenizer_padding_side": "left", "vae_spatial_compression_ratio": 32,
        "vae_temporal_compression_ratio": 8, "transformer_spatial_patch_size": 1,
        "transformer_temporal_patch_size": 1, "audio_sampling_rate": 16000,
        "audio_hop_length": 160, "audio_vae_temporal_compression_ratio": 4,
        "audio_mel_bins": 64, "audio_vae_mel_compression_ratio": 4, "audio_latent_channels": 8,
        "temporal_latent_upsampler": up["temporal"],
    }  # fmt: skip


def pipeline(kind: type, scheduler: Any, everything: dict[str, Any], images: Any) -> Any:
    class Made(kind):  # type: ignore[misc]
        _execution_device = torch.device("cpu")
        interrupt = False
        config = None

        def __init__(self) -> None:
            self.__dict__.update(everything, scheduler=scheduler)

        def encode_conditions(self, conditions: Any, height: int, width: int, *_: Any,
                              **__: Any) -> Any:  # fmt: skip
            return images(height, width)

    return Made()


def detailed(r: Reference, everything: dict[str, Any]) -> dict[str, Any]:
    """With that LoRA, whose strength diffusers leaves to its caller; ltx-pipelines has one."""
    adapted = golden_hq.with_adapter(r, DETAILING_LORA_STRENGTH, DETAILED)
    return {**everything, "transformer": Transformer(adapted)}


def latents_at(r: Reference, pictures: Pictures, height: int, width: int) -> list[Any]:
    """Of pictures, at the size of a pass, as encode_conditions gives them."""
    encoder, out = r.encoder(), []
    for frame, (name, strength) in pictures.items():
        pixels = ref.image_pixels(golden_text.picture(name), height, width)
        out.append((frame, encoder(pixels), strength, 1))
    return out


def made(r: Reference, name: str) -> Arrays:
    """The recipe of diffusers' documentation."""
    frames, height, width, doublings, pictures = CASES[name]
    up = {kind: golden_sampling.tiny_upsampler(kind, 8) for kind in ("spatial", "temporal")}
    up["temporal"].dtype = torch.float32
    everything, noise = parts(r, up), Noise()

    images = partial(latents_at, r, pictures)
    euler = FlowMatchEulerDiscreteScheduler()
    base = pipeline(whole.LTX2DFRPipeline, euler, everything, images)
    second = base
    if name == "detail":
        second = pipeline(whole.LTX2DFRPipeline, euler, detailed(r, everything), images)
    prepare = whole.LTX2DFRPipeline.prepare_latents

    def counted(self: Any, *, num_frames: int, height: int, width: int, **given: Any) -> Any:
        noise.begin((num_frames - 1) // 8 + 1, height // 32 * (width // 32))
        size = {"num_frames": num_frames, "height": height, "width": width}
        return prepare(self, **size, **given)

    common = {"prompt_embeds": torch.zeros(1, 1, 1), "output_type": "latent", "frame_rate": FPS}
    with ExitStack() as stack:
        stack.enter_context(golden_joint.later_rules())
        for module in (whole, temporal):
            stack.enter_context(mock.patch.object(module, "randn_tensor", noise.tokens))
        stack.enter_context(mock.patch.object(ancestral, "randn_tensor", noise.fresh))
        for kind in (whole.LTX2DFRPipeline, temporal.LTX2DFRTemporalRefinePipeline):
            stack.enter_context(mock.patch.object(kind, "prepare_latents", counted))
        first = base(height=height // 2, width=width // 2, num_frames=frames, **common)
        detail = {"reference_latents": first.frames} if second is not base else {}
        now = second(
            height=height, width=width, num_frames=frames, latents=up["spatial"](first.frames),
            keyframes_latents=up["spatial"](first.keyframes), audio_latents=first.audio,
            keyframe_positions=first.keyframe_positions,
            sigmas=STAGE_2_DISTILLED_SIGMA_VALUES, **detail, **common,
        )  # fmt: skip
        canvas = (first.frames.shape[2] - 1) * 8 + 1
        for doubling in range(1, doublings + 1):
            scheduler = LTXEulerAncestralRFScheduler(eta=0.5)
            refine = pipeline(temporal.LTX2DFRTemporalRefinePipeline, scheduler, everything, images)
            now = refine(
                latents=now.frames, keyframes_latents=now.keyframes,
                keyframe_positions=now.keyframe_positions, audio_latents=first.audio,
                height=height, width=width, num_frames=(now.frames.shape[2] - 1) * 8 + 1,
                source_seconds=canvas / FPS, round_index=doubling,
                **{**common, "frame_rate": FPS * 2 ** (doubling - 1)},
            )  # fmt: skip
    asked = (frames - 1) * 2**doublings + 1
    latents = base._maybe_normalize_video_latents(trim_canvas(now.frames, asked, 8), False)
    sound = golden_sound.decoded(*golden_joint.SOUND["v25"], first.audio)
    length = round(asked / (FPS * 2**doublings) * 48000)
    out = {f"{name}.latents": array(latents[0])}
    if name in {"detail", "part", "half"}:  # whose sound is another's
        return out
    out |= {
        f"{name}.sound.every64": np.ascontiguousarray(sound[:, :length].T[::64]),
    }
    if pictures:
        shown = ref.to_bytes(r.decoder()(latents))
        out[f"{name}.frame"] = np.ascontiguousarray(shown[-1:])
    return out


def main() -> None:
    torch.set_grad_enabled(False)
    arrays = layouts()
    with tempfile.TemporaryDirectory() as root:
        make_tiny.generate("v25", Path(root))
        r = Reference(Path(root))
        for name in CASES:
            arrays |= made(r, name)
    about = " ".join((made.__doc__ or "").split())
    packages = ("diffusers", "ltx-core", "torch", "transformers", "numpy")
    golden_files.write("v25-dfr", arrays, "golden_dfr.py", about, packages)


if __name__ == "__main__":
    main()
