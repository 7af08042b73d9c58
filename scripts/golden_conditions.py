"""Golden files of clips that begin with more than text: images, references, a source, sound.

Imported by make_golden.py only. What they begin with is in condition_cases.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import condition_cases
import golden_joint
import golden_sound
import golden_text
import numpy as np
import reference as ref
import torch
from condition_cases import CASES, Case
from ltx_core.conditioning import (
    ConditioningItemAttentionStrengthWrapper,
    VideoConditionByLatentIndex,
    VideoConditionByReferenceLatent,
)
from ltx_core.tools import AudioLatentTools, LatentTools, VideoLatentTools
from ltx_core.types import LatentState, VideoPixelShape
from ltx_pipelines.retake import TemporalRegionMask
from ltx_pipelines.utils.helpers import state_with_conditionings
from reference import FPS, Arrays, Reference, array, given


@dataclass(frozen=True)
class Keyframe:
    """An image in tokens of its own."""

    latent: torch.Tensor
    frame: int
    strength: float

    def apply_to(self, latent_state: LatentState, latent_tools: VideoLatentTools) -> LatentState:
        return ref.keyframe(latent_state, latent_tools, self.latent, self.frame, self.strength)


@dataclass(frozen=True)
class Slowed:
    """A reference of every so many frames, by the official 1.2.0 rule; 1.0.0 knows no such."""

    item: VideoConditionByReferenceLatent
    factor: int

    def apply_to(self, latent_state: LatentState, latent_tools: LatentTools) -> LatentState:
        made: LatentState = self.item.apply_to(latent_state, latent_tools)
        first_frame = latent_state.positions[:, 0, :1, 1:]
        positions = made.positions.clone()
        times = positions[:, 0, latent_state.positions.shape[2] :]
        times.mul_(self.factor).sub_((self.factor - 1) * first_frame).clamp_(min=0)
        return replace(made, positions=positions)


def _pixels(frames: np.ndarray, height: int, width: int) -> torch.Tensor:
    """As load_video_conditioning."""
    return torch.cat([ref.image_pixels(frame, height, width) for frame in frames], 2)


def _images(r: Reference, case: Case) -> list[Any]:
    _, height, width = case.pixels
    items: list[Any] = []
    for frame, name, strength in case.images:
        pixels = ref.image_pixels(golden_text.picture(name), height, width)
        latent = r.encoder()(pixels)
        if frame == 0 and not case.keyframes:
            items.append(VideoConditionByLatentIndex(latent, strength, 0))
        else:
            items.append(Keyframe(latent, frame, strength))
    return items


def _references(r: Reference, case: Case) -> list[Any]:
    """As ICLoraPipeline._create_conditionings, each with factors and an attention of its own."""
    frames, height, width = case.pixels
    items: list[Any] = []
    for wanted in case.references:
        clip, factor = condition_cases.reference(wanted)[:frames], wanted.downscale
        clip = np.concatenate([clip[:1], clip[1 :: wanted.temporal]])
        latent = r.encoder()(_pixels(clip, height // factor, width // factor))
        item: Any = VideoConditionByReferenceLatent(latent, factor, wanted.strength)
        item = Slowed(item, wanted.temporal)
        if wanted.attention < 1:
            item = ConditioningItemAttentionStrengthWrapper(item, wanted.attention)
        items.append(item)
    return items


def _given_sound(r: Reference, case: Case, tools: AudioLatentTools) -> torch.Tensor:
    """By the official 1.2.0 rule: cut to the video, then latents of zeros where it is shorter."""
    samples = condition_cases.sound(case.samples)
    samples = samples[: round(case.pixels[0] / FPS * condition_cases.SOUND_RATE)]
    vae, _ = golden_joint.SOUND[golden_joint.name_of(r)]
    latents = golden_sound.encoded(vae, samples)
    shape = tools.target_shape.to_torch_shape()
    made = torch.zeros(shape)
    count = min(shape[2], latents.shape[2])
    made[:, :, :count] = latents[:, :, :count]
    return made


def _region(case: Case, modality: str) -> list[Any]:
    """What is made again of a modality that is given: a time of it, or nothing."""
    region = case.region if case.what in ("both", modality) else (0.0, 0.0)
    return [TemporalRegionMask(*region, FPS)]


def _noised(state: LatentState, groups: list[torch.Tensor], out: Arrays, name: str) -> LatentState:
    """With the noise of each group of tokens, [channels, tokens], which joins what `out` has."""
    flat = [out.get(name, np.empty(0, np.float32)), *(array(group).ravel() for group in groups)]
    out[name] = np.concatenate(flat)
    return ref.noised(state, torch.cat(groups, 1).T[None])


def _video(r: Reference, name: str, out: Arrays) -> tuple[LatentState, VideoLatentTools]:
    case = CASES[name]
    state, tools = r.state(VideoPixelShape(1, *case.pixels, FPS))
    items = _images(r, case) + _references(r, case)
    if case.what:
        source = r.encoder()(_pixels(condition_cases.source(case), *case.pixels[1:]))
        state = tools.create_initial_state("cpu", torch.float32, source)
        items = _region(case, "video")
    channels, noise = state.latent.shape[2], []
    for i, item in enumerate([None, *items]):
        before = state.latent.shape[1] if item else 0
        state = state_with_conditionings(state, [item] if item else [], tools)
        noise.append(given(f"noise.{name}.{i}", channels, state.latent.shape[1] - before))
    return _noised(state, noise, out, f"{name}.noise"), tools


def _audio(r: Reference, name: str, out: Arrays) -> tuple[LatentState, AudioLatentTools]:
    case = CASES[name]
    state, tools = r.audio_state(VideoPixelShape(1, *case.pixels, FPS))
    if case.samples:
        sound = _given_sound(r, case, tools)
        state = tools.create_initial_state("cpu", torch.float32, sound)
        items = _region(case, "audio")
        state = state_with_conditionings(state, items, tools)
    noise = given(f"noise.{name}.sound", *state.latent.shape[:0:-1])
    return _noised(state, [noise], out, f"{name}.noise"), tools


def _made(r: Reference, name: str, contexts: golden_joint.Contexts) -> Arrays:
    case, out = CASES[name], dict[str, np.ndarray]()
    (video, tools), (audio, audio_tools) = _video(r, name, out), _audio(r, name, out)
    guiders = (golden_joint.UNGUIDED, golden_joint.UNGUIDED)
    if case.schedule != "distilled":
        guiders = contexts.guiders(r)
    if case.samples and not case.what:  # of audio to video
        guiders = (guiders[0], golden_joint.UNGUIDED)
    sigmas = ref.sigmas(case.schedule, condition_cases.STEPS[case.schedule])
    with golden_joint.later_rules():
        video, audio = golden_joint.denoise(r, (video, audio), sigmas, contexts, guiders)
    latents = ref.latents_of(video, tools)
    sound = audio_tools.unpatchify(audio).latent
    samples = golden_sound.decoded(*golden_joint.SOUND[golden_joint.name_of(r)], sound)
    if case.geometry == "joint":  # one of each kind: frames are large
        frames = ref.to_bytes(r.decoder()(latents))
        out[f"{name}.frames"] = np.ascontiguousarray(frames[:: case.pixels[0] // 2])
    return out | {
        f"{name}.latents": array(latents[0]),
        f"{name}.audio.latents": array(sound[0]),
        f"{name}.sound.every64": np.ascontiguousarray(samples.T[::64]),
    }


def clips(r: Reference) -> Arrays:
    """Keyframes, reference videos, a time made again, given sound: to latents, frames and sound."""
    out: Arrays = {}
    contexts, geometry = golden_joint.Contexts(r), golden_joint.name_of(r)
    for name, case in CASES.items():
        if case.geometry == geometry:
            out |= _made(r, name, contexts)
    return out
