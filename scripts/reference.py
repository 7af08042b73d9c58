"""The official models on a checkpoint, in float32, and the small amount of glue they need.

Imported by make_golden.py and its parts only. ltx-core 1.0.0 has the video-only model but no
video-only loop, and states Gemma's sizes, 128 registers and 1024 rows of text as constants; what
replaces those is here. Everything the models compute is ltx-core's and transformers' own code.
"""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass, replace
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

import make_tiny
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

_ABSENT = types.ModuleType("torchaudio")  # has no CPU build; ltx-core only names it
_ABSENT.__spec__ = ModuleSpec("torchaudio", None)
_ABSENT.__dict__["transforms"] = types.ModuleType("torchaudio.transforms")
sys.modules.setdefault("torchaudio", _ABSENT)

from ltx_core.components.diffusion_steps import EulerDiffusionStep  # noqa: E402
from ltx_core.components.guiders import MultiModalGuider, MultiModalGuiderParams  # noqa: E402
from ltx_core.components.patchifiers import (  # noqa: E402
    AudioPatchifier,
    VideoLatentPatchifier,
    get_pixel_coords,
)
from ltx_core.components.schedulers import LinearQuadraticScheduler, LTX2Scheduler  # noqa: E402
from ltx_core.guidance.perturbations import (  # noqa: E402
    BatchedPerturbationConfig,
    Perturbation,
    PerturbationConfig,
    PerturbationType,
)
from ltx_core.model.transformer.model import LTXModel, X0Model  # noqa: E402
from ltx_core.model.transformer.model_configurator import (  # noqa: E402
    LTXModelConfigurator,
    LTXVideoOnlyModelConfigurator,
)
from ltx_core.model.transformer.rope import LTXRopeType  # noqa: E402
from ltx_core.model.video_vae.model_configurator import (  # noqa: E402
    VideoDecoderConfigurator,
    VideoEncoderConfigurator,
)
from ltx_core.text_encoders.gemma.embeddings_connector import (  # noqa: E402
    Embeddings1DConnector,
)
from ltx_core.text_encoders.gemma.embeddings_processor import (  # noqa: E402
    EmbeddingsProcessor,
)
from ltx_core.text_encoders.gemma.feature_extractor import (  # noqa: E402
    FeatureExtractorV1,
    FeatureExtractorV2,
)
from ltx_core.text_encoders.gemma.tokenizer import LTXVGemmaTokenizer  # noqa: E402
from ltx_core.tools import AudioLatentTools, VideoLatentTools  # noqa: E402
from ltx_core.types import (  # noqa: E402
    AudioLatentShape,
    LatentState,
    VideoLatentShape,
    VideoPixelShape,
)
from ltx_pipelines.utils.constants import DISTILLED_SIGMA_VALUES, LTX_2_3_PARAMS  # noqa: E402
from ltx_pipelines.utils.helpers import (  # noqa: E402
    modality_from_latent_state,
    post_process_latent,
)
from ltx_pipelines.utils.media_io import normalize_latent, resize_and_center_crop  # noqa: E402
from transformers import Gemma3TextConfig, Gemma3TextModel  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from ltx_core.model.transformer.modality import Modality
    from ltx_core.model.video_vae.video_vae import VideoDecoder, VideoEncoder

Tensors = dict[str, torch.Tensor]
Arrays = dict[str, np.ndarray]
PROMPT = "a red circle moves right on a blue background"
NEGATIVE = "blurry, out of focus, low contrast"
FPS = 24.0
AUDIO = ("audio", "av_ca_", "a2v")
CONNECTORS = "model.diffusion_model.{}_embeddings_connector."


def _load(model: torch.nn.Module, weights: Tensors) -> Any:
    """The model in float32 with exactly these weights."""
    model = model.to_empty(device="cpu").float()
    for name in [n for n, _ in model.named_buffers() if n not in weights]:
        raise KeyError(f"no weights for buffer {name}")
    model.load_state_dict(weights, strict=True)
    return model.eval().requires_grad_(False)


def _under(weights: Tensors, prefix: str) -> Tensors:
    return {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}


@dataclass
class Text:
    """A prompt on its way: token ids, hidden states of the real tokens, features, context."""

    ids: torch.Tensor
    states: list[torch.Tensor]
    features: torch.Tensor
    context: torch.Tensor
    audio_context: torch.Tensor | None = None


class Reference:
    """The official models of one folder made by make_tiny.py."""

    def __init__(self, folder: Path) -> None:
        file = next(folder.glob("*.safetensors"))
        with safe_open(file, framework="pt") as f:
            self.config: dict[str, Any] = json.loads(f.metadata()["config"])
        self.weights = load_file(file)  # of the file's type; models widen what they take
        self.gemma_folder = folder / "gemma"
        self.transformer_config = self.config["transformer"]
        self.text_length = self.transformer_config.get("connector_text_length", 1024)
        self.patchifier = VideoLatentPatchifier(patch_size=1)

    # ---- components -------------------------------------------------------------------------

    def dit(self) -> LTXModel:
        with torch.device("meta"):
            model = LTXVideoOnlyModelConfigurator.from_config(self.config)
        weights = _under(self.weights, "model.diffusion_model.")
        video = {
            n: t
            for n, t in weights.items()
            if not any(a in n for a in AUDIO) and "embeddings_connector" not in n
        }
        return _load(model, video)

    def joint(self) -> LTXModel:
        """The transformer of video and sound."""
        with torch.device("meta"):
            model = LTXModelConfigurator.from_config(self.config)
        weights = _under(self.weights, "model.diffusion_model.")
        return _load(model, {n: t for n, t in weights.items() if "embeddings_connector" not in n})

    def encoder(self) -> VideoEncoder:
        with torch.device("meta"):
            model = VideoEncoderConfigurator.from_config(self.config)
        return _load(model, self._vae("encoder"))

    def decoder(self) -> VideoDecoder:
        with torch.device("meta"):
            model = VideoDecoderConfigurator.from_config(self.config)
        return _load(model, self._vae("decoder"))

    def _vae(self, side: str) -> Tensors:
        weights = _under(self.weights, f"vae.{side}.")
        for name in ("mean-of-means", "std-of-means"):
            weights["per_channel_statistics." + name] = self.weights[
                "vae.per_channel_statistics." + name
            ]
        return weights

    def text_processor(self) -> EmbeddingsProcessor:
        """With the sound's side where the checkpoint has one."""
        gemma = self.gemma_config()
        kinds = ["video"]
        if CONNECTORS.format("audio") + "transformer_1d_blocks.0.attn1.to_q.weight" in self.weights:
            kinds.append("audio")
        weights = {
            f"feature_extractor.{n}": t
            for n, t in _under(self.weights, "text_embedding_projection.").items()
            if not n.startswith("audio") or "audio" in kinds
        }
        inputs, shared = gemma.hidden_size * (gemma.num_hidden_layers + 1), "aggregate_embed.weight"
        projections, connectors = [], {}
        for kind in kinds:
            with torch.device("meta"):
                connectors[f"{kind}_connector"] = self._connector(kind)
                projections.append(torch.nn.Linear(inputs, self._width(kind)))
            own = _under(self.weights, CONNECTORS.format(kind))
            weights |= {f"{kind}_connector.{n}": t for n, t in own.items()}
        extractor: torch.nn.Module = FeatureExtractorV2(
            projections[0], gemma.hidden_size, *projections[1:]
        )
        if f"feature_extractor.{shared}" in weights:
            with torch.device("meta"):
                one = torch.nn.Linear(inputs, gemma.hidden_size, bias=False)
            extractor = FeatureExtractorV1(one, is_av="audio" in kinds)
        return _load(EmbeddingsProcessor(feature_extractor=extractor, **connectors), weights)

    def _width(self, kind: str) -> int:
        c, prefix = self.transformer_config, "" if kind == "video" else "audio_"
        width: int = c[prefix + "num_attention_heads"] * c[prefix + "attention_head_dim"]
        return width

    def text_width(self, kind: str) -> int:
        """Of the rows that the transformer reads: where it projects them, the connector's."""
        c = self.transformer_config
        projects = not c.get("caption_proj_before_connector", False)
        return c["caption_channels"] if projects else self._width(kind)

    def _connector(self, kind: str) -> Embeddings1DConnector:
        c, prefix = self.transformer_config, "" if kind == "video" else "audio_"
        return Embeddings1DConnector(
            num_attention_heads=c.get(
                prefix + "connector_num_attention_heads", c["connector_num_attention_heads"]
            ),
            attention_head_dim=c.get(
                prefix + "connector_attention_head_dim", c["connector_attention_head_dim"]
            ),
            num_layers=c["connector_num_layers"],
            positional_embedding_max_pos=c["connector_positional_embedding_max_pos"],
            num_learnable_registers=c["connector_num_learnable_registers"],
            rope_type=LTXRopeType(c["rope_type"]),
            double_precision_rope=c["frequencies_precision"] == "float64",
            apply_gated_attention=c.get("connector_apply_gated_attention", False),
        )

    def gemma_config(self) -> Gemma3TextConfig:
        config = json.loads((self.gemma_folder / "config.json").read_text())
        config = config.get("text_config", config)
        return Gemma3TextConfig(**config, attn_implementation="eager")

    def gemma(self) -> Gemma3TextModel:
        weights: Tensors = {}
        for file in sorted(self.gemma_folder.glob("*.safetensors")):
            weights |= load_file(file)
        prefix = (
            "language_model.model."
            if any(n.startswith("language_model.") for n in weights)
            else "model."
        )
        model = Gemma3TextModel(self.gemma_config()).float().eval().requires_grad_(False)
        weights = {n: t.float() for n, t in _under(weights, prefix).items()}
        model.load_state_dict(weights, strict=True)
        return model

    def tokenizer(self) -> LTXVGemmaTokenizer:
        return LTXVGemmaTokenizer(str(self.gemma_folder), self.text_length)

    # ---- text ---------------------------------------------------------------------------------

    def encode(self, prompt: str) -> Text:
        """As GemmaTextEncoder.encode: padded on the left to the text length."""
        pairs = self.tokenizer().tokenize_with_weights(prompt)["gemma"]
        ids = torch.tensor([[int(i) for i, _ in pairs]])
        mask = torch.tensor([[int(m) for _, m in pairs]])
        out = self.gemma()(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        processor, real = self.text_processor(), mask[0].bool()
        assert processor.feature_extractor is not None
        features, _ = processor.feature_extractor(out.hidden_states, mask)
        both = processor.process_hidden_states(out.hidden_states, mask)
        return Text(
            ids=ids[0][real],
            states=[s[0][real] for s in out.hidden_states],
            features=features[0][real],
            context=both.video_encoding,
            audio_context=both.audio_encoding,
        )

    # ---- latents ------------------------------------------------------------------------------

    def audio_state(self, pixels: VideoPixelShape) -> tuple[LatentState, AudioLatentTools]:
        """Of latents whose tokens have as many values as the tiny transformer takes."""
        bins = 16
        channels = self.transformer_config["audio_in_channels"] // bins
        shape = AudioLatentShape.from_video_pixel_shape(pixels, channels=channels, mel_bins=bins)
        tools = AudioLatentTools(AudioPatchifier(patch_size=1), shape)
        return tools.create_initial_state("cpu", torch.float32), tools

    def state(self, pixels: VideoPixelShape) -> tuple[LatentState, VideoLatentTools]:
        channels = self.config["vae"]["latent_channels"]
        tools = VideoLatentTools(
            self.patchifier, VideoLatentShape.from_pixel_shape(pixels, channels), pixels.fps
        )
        return tools.create_initial_state("cpu", torch.float32), tools


def keyframe(
    state: LatentState, tools: VideoLatentTools, latent: torch.Tensor, frame: int, strength: float
) -> LatentState:
    """An image at a later frame, by the official 1.2.0 rule: it spans one pixel frame.

    ltx-core 1.0.0 spans eight; all else is as its VideoConditionByKeyframeIndex.
    """
    tokens = tools.patchifier.patchify(latent)
    bounds = tools.patchifier.get_patch_grid_bounds(VideoLatentShape.from_torch_shape(latent.shape))
    positions = get_pixel_coords(bounds, tools.scale_factors, causal_fix=False).float()
    positions[:, 0, :, 0] = frame
    positions[:, 0, :, 1] = frame + 1
    positions[:, 0] /= tools.fps
    mask = torch.full((*tokens.shape[:2], 1), 1.0 - strength)
    return replace(
        state,
        latent=torch.cat([state.latent, tokens], 1),
        clean_latent=torch.cat([state.clean_latent, tokens], 1),
        denoise_mask=torch.cat([state.denoise_mask, mask], 1),
        positions=torch.cat([state.positions.float(), positions], 2),
    )


def image_pixels(image: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Height x width x 3 bytes -> [1,3,1,H,W] in [-1,1], as load_image_conditioning at CRF 0."""
    resized = resize_and_center_crop(torch.tensor(image, dtype=torch.float32), height, width)
    return normalize_latent(resized, torch.device("cpu"), torch.float32)


def noised(state: LatentState, noise: torch.Tensor, scale: float = 1.0) -> LatentState:
    """GaussianNoiser with given noise, in token layout."""
    mask = state.denoise_mask * scale
    return replace(state, latent=noise * mask + state.latent * (1 - mask))


def sigmas(schedule: str, steps: int) -> torch.Tensor:
    if schedule == "distilled":
        return torch.tensor(DISTILLED_SIGMA_VALUES)
    if schedule == "linear_quadratic":
        return LinearQuadraticScheduler().execute(steps)
    return LTX2Scheduler().execute(steps)


def modality(state: LatentState, context: torch.Tensor, sigma: torch.Tensor) -> Modality:
    # ltx-core gives sigma as a scalar tensor; the video-only preprocessor flattens it.
    return modality_from_latent_state(state, context, sigma)


def perturbed(blocks: list[int]) -> BatchedPerturbationConfig:
    skip = Perturbation(type=PerturbationType.SKIP_VIDEO_SELF_ATTN, blocks=blocks)
    return BatchedPerturbationConfig([PerturbationConfig([skip])])


def denoise(
    dit: LTXModel,
    state: LatentState,
    steps: torch.Tensor,
    params: MultiModalGuiderParams,
    positive: torch.Tensor,
    negative: torch.Tensor | None,
) -> LatentState:
    """The Euler loop of ltx_pipelines, for video alone."""
    model, stepper = X0Model(dit), EulerDiffusionStep()
    guider = MultiModalGuider(params=params, negative_context=negative)
    for i, sigma in enumerate(steps[:-1]):

        def x0(
            context: torch.Tensor,
            how: BatchedPerturbationConfig | None = None,
            at: torch.Tensor = sigma,
            z: LatentState = state,
        ) -> torch.Tensor:
            out: torch.Tensor = model(modality(z, context, at), None, how)[0]
            return out

        uncond: Any = 0.0
        if guider.do_unconditional_generation():
            assert negative is not None
            uncond = x0(negative)
        stg: Any = 0.0
        if guider.do_perturbed_generation():
            stg = x0(positive, perturbed(list(params.stg_blocks or [])))
        pred = guider.calculate(x0(positive), uncond, stg, 0.0)
        pred = post_process_latent(pred, state.denoise_mask, state.clean_latent)
        state = replace(state, latent=stepper.step(state.latent, pred, steps, i))
    return state


def latents_of(state: LatentState, tools: VideoLatentTools) -> torch.Tensor:
    """[1,C,F',H',W'] without appended tokens."""
    state = tools.unpatchify(tools.clear_conditioning(state))
    return state.latent


def to_bytes(frames: torch.Tensor) -> np.ndarray:
    """[1,3,F,H,W] -> frames x height x width x 3 bytes, as ltx_core's decode_video."""
    out = (((frames + 1.0) / 2.0).clamp(0.0, 1.0) * 255.0).to(torch.uint8)
    return np.ascontiguousarray(out[0].permute(1, 2, 3, 0).numpy())


def array(tensor: torch.Tensor) -> np.ndarray:
    kind = np.int32 if tensor.dtype in (torch.int64, torch.int32) else np.float32
    return np.ascontiguousarray(tensor.detach().numpy().astype(kind))


def given(name: str, *shape: int) -> torch.Tensor:
    """Inputs come from the generator of the tiny checkpoints: normal, the same everywhere."""
    return torch.from_numpy(make_tiny.normal("golden", name, shape))


def stg_blocks(config: dict[str, Any]) -> list[int]:
    """Those that the file states, else the official ones of LTX-2.3."""
    stated: list[int] = config.get("sampling", {}).get("stg_blocks")
    return LTX_2_3_PARAMS.video_guider_params.stg_blocks if stated is None else stated
