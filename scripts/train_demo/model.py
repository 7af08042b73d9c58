"""The modules that are trained: official code, joined by batched glue that computes the same.

The glue is there for speed: tables of angles are made once, and a clip has at most two different
timesteps (those of given tokens and of all others), not one for every token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from config import (
    AUDIO_WIDTH,
    CONFIG,
    FPS,
    GEMMA_HIDDEN,
    GEMMA_LAYERS,
    REGISTERS,
    TEXT_LENGTH,
    WIDTH,
)
from ltx_core.model.transformer.model import LTXModel
from ltx_core.model.transformer.model_configurator import LTXModelConfigurator
from ltx_core.model.transformer.rope import (
    LTXRopeType,
    generate_freq_grid_np,
    precompute_freqs_cis,
)
from ltx_core.model.transformer.transformer_args import (
    MultiModalTransformerArgsPreprocessor,
    TransformerArgs,
)
from ltx_core.text_encoders.gemma.embeddings_connector import Embeddings1DConnector
from ltx_core.text_encoders.gemma.feature_extractor import FeatureExtractorV2
from ltx_core.utils import rms_norm
from torch import nn
from transformers import Gemma3TextConfig, Gemma3TextModel

SCALE_TIME, SCALE_SPACE = 8, 32
ROWS_PER_SECOND = 25  # latents of sound

Angles = tuple[torch.Tensor, torch.Tensor]


def gemma_config(vocabulary: int) -> Gemma3TextConfig:
    return Gemma3TextConfig(
        architectures=["Gemma3ForCausalLM"],
        vocab_size=vocabulary,
        hidden_size=GEMMA_HIDDEN,
        intermediate_size=2 * GEMMA_HIDDEN,
        num_hidden_layers=GEMMA_LAYERS,
        num_attention_heads=GEMMA_HIDDEN // 32,
        num_key_value_heads=1,
        head_dim=32,
        query_pre_attn_scalar=32,
        max_position_embeddings=1024,
        initializer_range=0.1,
        sliding_window=1024,
        sliding_window_pattern=2,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
        torch_dtype="float32",
    )


@dataclass(frozen=True)
class Size:
    """Of a clip: frames, rows and columns of pixels."""

    frames: int
    height: int
    width: int

    @property
    def cells(self) -> tuple[int, int, int]:
        """Of the latents."""
        rows, columns = self.height // SCALE_SPACE, self.width // SCALE_SPACE
        return (self.frames - 1) // SCALE_TIME + 1, rows, columns

    @property
    def tokens(self) -> int:
        frames, rows, columns = self.cells
        return frames * rows * columns

    @property
    def name(self) -> str:
        return f"{self.frames}x{self.height}x{self.width}"

    @property
    def first(self) -> int:
        """Tokens of the first latent frame."""
        return self.tokens // self.cells[0]

    @property
    def seconds(self) -> float:
        return self.frames / FPS

    @property
    def sounds(self) -> int:
        """Latents of the sound: rounded half to even, as the official pipeline does."""
        return round(ROWS_PER_SECOND * self.seconds)


def positions(size: Size) -> torch.Tensor:
    """[1, 3, tokens, 2] starts and ends of latent cells: seconds, rows, columns."""
    cells = torch.meshgrid(*(torch.arange(n) for n in size.cells), indexing="ij")
    start = torch.stack(cells).flatten(1).float()
    scale = torch.tensor([SCALE_TIME, SCALE_SPACE, SCALE_SPACE])[:, None].float()
    begin, end = start * scale, (start + 1) * scale
    for edge in (begin, end):
        edge[0] = (edge[0] + 1 - SCALE_TIME).clamp(min=0) / FPS
    return torch.stack([begin, end], -1)[None]


def sound_positions(size: Size) -> torch.Tensor:
    """[1, 1, sounds, 2] starts and ends in seconds: of four spectra of 10 ms, the first of one."""
    i = torch.arange(size.sounds).float()
    edges = [(4 * i - 3).clamp(min=0), (4 * i + 1).clamp(min=0)]
    return torch.stack(edges, -1)[None, None] * 0.01


def to_tokens(latents: torch.Tensor) -> torch.Tensor:
    """[batch, channels, frames, height, width] -> [batch, tokens, channels]."""
    return latents.flatten(2).transpose(1, 2)


def to_latents(tokens: torch.Tensor, size: Size) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, *size.cells)


def sound_tokens(latents: torch.Tensor) -> torch.Tensor:
    """[batch, channels, time, bins] -> [batch, time, channels x bins]."""
    return latents.transpose(1, 2).flatten(2)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """PyTorch's `scaled_dot_product_attention` as plain products.

    On a CPU its fused backward takes half of a step of clips this small.
    """
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = q * (q.shape[-1] ** -0.5 if scale is None else scale) @ k.mT
    if is_causal:
        scores = scores + torch.full(scores.shape[-2:], -1e9, dtype=q.dtype).triu(1)
    if attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ v


class _Untouched:
    """No attention is perturbed, found without a look at every clip of the batch."""

    def all_in_batch(self, *_: Any) -> bool:
        return False

    def any_in_batch(self, *_: Any) -> bool:
        return False

    def mask_like(self, *_: Any) -> float:
        return 1.0


def _run(block: nn.Module, video: Any, audio: Any) -> Any:
    return block(video, audio, _Untouched())


@dataclass(frozen=True)
class Stream:
    """Noisy tokens of one kind and the text they follow; the first `given` tokens have no noise."""

    tokens: torch.Tensor
    context: torch.Tensor
    given: int = 0


class TextToClip(nn.Module):
    """Gemma -> projections -> connectors -> diffusion transformer of video and sound."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        inputs = GEMMA_HIDDEN * (GEMMA_LAYERS + 1)
        self.gemma = Gemma3TextModel._from_config(gemma_config(vocabulary))
        self.projection = FeatureExtractorV2(
            nn.Linear(inputs, WIDTH), GEMMA_HIDDEN, nn.Linear(inputs, AUDIO_WIDTH)
        )
        self.connector = _connector("")
        self.audio_connector = _connector("audio_")
        self.dit: LTXModel = LTXModelConfigurator.from_config(CONFIG)
        self._angles: dict[Any, tuple[Angles, ...]] = {}
        self._compiled: Any = _run
        self._compiled_sizes: frozenset[Size] = frozenset()
        self._initialise()

    def _initialise(self) -> None:
        for name, table in self.dit.named_parameters():
            if "scale_shift_table" in name:
                nn.init.normal_(table, std=0.02)
        for name, module in self.dit.named_modules():
            if name.endswith("proj_out") or (name.endswith("linear") and "adaln" in name):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)
        for block in self.dit.transformer_blocks:
            with torch.no_grad():  # the gates begin half open
                for kind in ("", "audio_"):
                    getattr(block, kind + "scale_shift_table")[[2, 5, 8]] += 0.4
                for kind in ("video", "audio"):
                    getattr(block, "scale_shift_table_a2v_ca_" + kind)[4] += 0.4

    def compile_for(self, *sizes: Size) -> None:
        """Fuses what a block does, for clips of these sizes; what cannot be compiled runs as is."""
        torch._dynamo.config.suppress_errors = True
        self._compiled = torch.compile(_run, dynamic=False)
        self._compiled_sizes = frozenset(sizes)

    def context(
        self, ids: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, text length, width] for video and sound, of ids padded on the right.

        The official tokenizer pads on the left and the connector moves the text to the front;
        with padding on the right and a causal mask the same numbers come out for a batch.
        """
        # Padding follows the text, so a plain causal mask already hides it.
        plain = {"full_attention": None, "sliding_attention": None}
        states = self.gemma(
            input_ids=ids, attention_mask=plain, output_hidden_states=True, use_cache=False
        )
        valid = torch.arange(ids.shape[1], device=ids.device)[None] < lengths[:, None]
        video, audio = self.projection(states.hidden_states, valid)
        return (
            self._connected(self.connector, video, valid),
            self._connected(self.audio_connector, audio, valid),
        )

    def _connected(
        self, connector: Embeddings1DConnector, features: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        registers = connector.learnable_registers.tile(TEXT_LENGTH // REGISTERS, 1)[None]
        rest = TEXT_LENGTH - features.shape[1]
        features = nn.functional.pad(features, (0, 0, 0, rest))
        valid = nn.functional.pad(valid, (0, rest))
        x = torch.where(valid[..., None], features, registers.to(features.dtype))
        pe = self._text_angles(connector, x)
        for block in connector.transformer_1d_blocks:
            x = block(x, pe=_of_batch(pe, len(x)))
        return rms_norm(x)

    def _text_angles(self, connector: Embeddings1DConnector, x: torch.Tensor) -> Angles:
        key = (connector.inner_dim, x.device, x.dtype)
        if key not in self._angles:
            grid = torch.arange(TEXT_LENGTH, dtype=torch.float32)[None, None]
            heads, reach = connector.num_attention_heads, connector.positional_embedding_max_pos
            table = _angles(grid, connector.inner_dim, heads, reach, x, middle=False)
            self._angles[key] = (table,)
        return self._angles[key][0]

    def _clip_angles(self, size: Size, x: torch.Tensor) -> tuple[Angles, ...]:
        """Of the video, of the sound, and of either for the other."""
        key = (size, x.device, x.dtype)
        if key not in self._angles:
            dit, video, audio = self.dit, positions(size), sound_positions(size)
            reach = [
                max(dit.positional_embedding_max_pos[0], *dit.audio_positional_embedding_max_pos)
            ]
            cross, heads = dit.audio_cross_attention_dim, dit.num_attention_heads
            self._angles[key] = (
                _angles(video, dit.inner_dim, heads, dit.positional_embedding_max_pos, x),
                _angles(
                    audio, dit.audio_inner_dim, heads, dit.audio_positional_embedding_max_pos, x
                ),
                _angles(video[:, :1], cross, heads, reach, x),
                _angles(audio, cross, heads, reach, x),
            )
        return self._angles[key]

    def velocity(
        self, size: Size, sigma: torch.Tensor, video: Stream, audio: Stream | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """[batch, tokens, channels] of each stream, at one noise level a clip."""
        angles = self._clip_angles(size, video.tokens)
        alone = audio is None
        v = _arguments(
            self.dit.video_args_preprocessor, video, sigma, angles[0], None if alone else angles[2]
        )
        a = None
        if audio is not None:
            a = _arguments(self.dit.audio_args_preprocessor, audio, sigma, angles[1], angles[3])
        # On a CPU each kind takes minutes to compile: the usual one of a size alone.
        is_usual = not alone and not video.given
        compiled = size in self._compiled_sizes and (is_usual or video.tokens.is_cuda)
        run = self._compiled if compiled else _run
        for block in self.dit.transformer_blocks:
            v, a = run(block, v, a)
        return _output(self.dit, "", v), None if a is None else _output(self.dit, "audio_", a)


def _connector(prefix: str) -> Embeddings1DConnector:
    c = CONFIG["transformer"]
    return Embeddings1DConnector(
        attention_head_dim=c[prefix + "connector_attention_head_dim"],
        num_attention_heads=c[prefix + "connector_num_attention_heads"],
        num_layers=c["connector_num_layers"],
        positional_embedding_max_pos=c["connector_positional_embedding_max_pos"],
        num_learnable_registers=REGISTERS,
        rope_type=LTXRopeType.SPLIT,
        double_precision_rope=True,
        apply_gated_attention=True,
    ).float()


def _angles(
    grid: torch.Tensor,
    width: int,
    heads: int,
    reach: list[int],
    x: torch.Tensor,
    middle: bool = True,
) -> Angles:
    """The official table, on x's device and in its type."""
    cos, sin = precompute_freqs_cis(
        grid,
        dim=width,
        out_dtype=torch.float32,
        max_pos=reach,
        use_middle_indices_grid=middle,
        num_attention_heads=heads,
        rope_type=LTXRopeType.SPLIT,
        freq_grid_generator=generate_freq_grid_np,
    )
    return cos.to(x.device, x.dtype), sin.to(x.device, x.dtype)


def _of_batch(angles: Angles, count: int) -> Angles:
    cos, sin = (table.expand(count, -1, -1, -1) for table in angles)
    return cos, sin


def _arguments(
    official: MultiModalTransformerArgsPreprocessor,
    stream: Stream,
    sigma: torch.Tensor,
    angles: Angles,
    cross_angles: Angles | None,
) -> TransformerArgs:
    """As the official `prepare` makes them, by the rule of 1.2.0: a token's own noise scales it."""
    simple, dtype = official.simple_preprocessor, stream.tokens.dtype
    count, length, _ = stream.tokens.shape
    scaled = sigma * simple.timestep_scale_multiplier
    levels = scaled[:, None]
    if stream.given:
        levels = torch.stack([torch.zeros_like(scaled), scaled], 1)

    def rows(adaln: nn.Module, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        made, embedded = adaln(at.flatten(), hidden_dtype=dtype)
        return made.view(count, at.shape[1], -1), embedded.view(count, at.shape[1], -1)

    def of_tokens(x: torch.Tensor) -> torch.Tensor:
        if not stream.given:
            return x
        given, made = x[:, :1], x[:, 1:]
        rest = length - stream.given
        return torch.cat([given.expand(-1, stream.given, -1), made.expand(-1, rest, -1)], 1)

    timesteps, embedded = (of_tokens(x) for x in rows(simple.adaln, levels))
    prompt, _ = rows(simple.prompt_adaln, scaled[:, None])
    cross_rows = cross_gate = None
    if cross_angles is not None:
        cross_rows = of_tokens(rows(official.cross_scale_shift_adaln, levels)[0])
        factor = official.av_ca_timestep_scale_multiplier / simple.timestep_scale_multiplier
        cross_gate, _ = rows(official.cross_gate_adaln, scaled[:, None] * factor)
        cross_angles = _of_batch(cross_angles, count)
    return TransformerArgs(
        x=simple.patchify_proj(stream.tokens),
        context=stream.context,
        context_mask=None,
        timesteps=timesteps,
        embedded_timestep=embedded,
        positional_embeddings=_of_batch(angles, count),
        cross_positional_embeddings=cross_angles,
        cross_scale_shift_timestep=cross_rows,
        cross_gate_timestep=cross_gate,
        enabled=True,
        prompt_timestep=prompt,
    )


def _output(dit: LTXModel, prefix: str, made: TransformerArgs) -> torch.Tensor:
    names = ("scale_shift_table", "norm_out", "proj_out")
    table, norm, project = (getattr(dit, prefix + name) for name in names)
    result: torch.Tensor = dit._process_output(table, norm, project, made.x, made.embedded_timestep)
    return result


def in_bfloat16(model: TextToClip) -> TextToClip:
    """Its weights alone: the frequencies that Gemma keeps stay exact."""
    for p in model.parameters():
        p.data = p.data.bfloat16()
    return model


def parameters(module: nn.Module) -> dict[str, Any]:
    return {k: v.detach().float().contiguous() for k, v in module.state_dict().items()}
