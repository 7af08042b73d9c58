"""The modules that are trained: official code, joined by batched glue that computes the same."""

from typing import Any

import torch
from config import CONFIG, GEMMA_HIDDEN, GEMMA_LAYERS, REGISTERS, SAMPLING, TEXT_LENGTH, WIDTH
from ltx_core.guidance.perturbations import BatchedPerturbationConfig
from ltx_core.model.transformer.modality import Modality
from ltx_core.model.transformer.model_configurator import LTXVideoOnlyModelConfigurator
from ltx_core.model.transformer.rope import generate_freq_grid_np, precompute_freqs_cis
from ltx_core.text_encoders.gemma.embeddings_connector import Embeddings1DConnector
from ltx_core.text_encoders.gemma.feature_extractor import FeatureExtractorV2
from ltx_core.utils import rms_norm
from torch import nn
from transformers import Gemma3TextConfig, Gemma3TextModel

SCALE_TIME, SCALE_SPACE = 8, 32


def gemma_config(vocabulary: int) -> Gemma3TextConfig:
    return Gemma3TextConfig(
        architectures=["Gemma3ForCausalLM"],
        vocab_size=vocabulary,
        hidden_size=GEMMA_HIDDEN,
        intermediate_size=2 * GEMMA_HIDDEN,
        num_hidden_layers=GEMMA_LAYERS,
        num_attention_heads=2,
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


class TextToVideo(nn.Module):
    """Gemma -> projection -> connector -> diffusion transformer."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        transformer = CONFIG["transformer"]
        self.gemma = Gemma3TextModel._from_config(gemma_config(vocabulary))
        self.projection = FeatureExtractorV2(
            nn.Linear(GEMMA_HIDDEN * (GEMMA_LAYERS + 1), WIDTH), embedding_dim=GEMMA_HIDDEN
        )
        self.connector = Embeddings1DConnector(
            attention_head_dim=transformer["connector_attention_head_dim"],
            num_attention_heads=transformer["connector_num_attention_heads"],
            num_layers=transformer["connector_num_layers"],
            positional_embedding_max_pos=transformer["connector_positional_embedding_max_pos"],
            num_learnable_registers=REGISTERS,
            rope_type=LTXVideoOnlyModelConfigurator.from_config(CONFIG).rope_type,
            double_precision_rope=True,
            apply_gated_attention=True,
        ).float()
        self.dit = LTXVideoOnlyModelConfigurator.from_config(CONFIG)
        self._initialise()

    def _initialise(self) -> None:
        dit = self.dit
        nn.init.normal_(dit.scale_shift_table, std=0.02)
        nn.init.zeros_(dit.proj_out.weight)
        nn.init.zeros_(dit.proj_out.bias)
        for adaln in (dit.adaln_single, dit.prompt_adaln_single):
            nn.init.zeros_(adaln.linear.weight)
            nn.init.zeros_(adaln.linear.bias)
        for block in dit.transformer_blocks:
            nn.init.normal_(block.scale_shift_table, std=0.02)
            with torch.no_grad():
                block.scale_shift_table[[2, 5, 8]] += 0.4  # the gates begin half open
            nn.init.normal_(block.prompt_scale_shift_table, std=0.02)

    def context(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[batch, text length, width] for ids padded on the right.

        The official tokenizer pads on the left and the connector moves the text to the front;
        with padding on the right and a causal mask the same numbers come out for a batch.
        """
        # Padding follows the text, so a plain causal mask already hides it.
        states = self.gemma(input_ids=ids, output_hidden_states=True, use_cache=False)
        valid = torch.arange(ids.shape[1])[None] < lengths[:, None]
        features, _ = self.projection(states.hidden_states, valid)
        tiles = TEXT_LENGTH // REGISTERS
        registers = self.connector.learnable_registers.tile(tiles, 1)[None]
        padding = (0, 0, 0, TEXT_LENGTH - ids.shape[1])
        features = nn.functional.pad(features, padding)
        valid = nn.functional.pad(valid, (0, TEXT_LENGTH - ids.shape[1]))
        x = torch.where(valid[..., None], features, registers.to(features.dtype))
        grid = torch.arange(TEXT_LENGTH, dtype=torch.float32)[None, None]
        pe = precompute_freqs_cis(
            indices_grid=grid,
            dim=self.connector.inner_dim,
            out_dtype=x.dtype,
            theta=self.connector.positional_embedding_theta,
            max_pos=self.connector.positional_embedding_max_pos,
            num_attention_heads=self.connector.num_attention_heads,
            rope_type=self.connector.rope_type,
            freq_grid_generator=generate_freq_grid_np,
        )
        pe = tuple(p.expand(len(x), -1, -1, -1) for p in pe)
        for block in self.connector.transformer_1d_blocks:
            x = block(x, pe=pe)
        return rms_norm(x)

    def velocity(
        self,
        tokens: torch.Tensor,
        sigma: torch.Tensor,
        mask: torch.Tensor | None,
        grid: torch.Tensor,
        context: torch.Tensor,
    ) -> torch.Tensor:
        """[batch, tokens, channels]; mask [batch, tokens] is 1 where content is generated.

        Without a mask all is generated, and one timestep serves all tokens of a clip.
        """
        timesteps = sigma[:, None] if mask is None else mask * sigma[:, None]
        modality = Modality(
            latent=tokens,
            sigma=sigma,
            timesteps=timesteps,
            positions=grid.expand(len(tokens), -1, -1, -1),
            context=context,
        )
        nothing = BatchedPerturbationConfig.empty(len(tokens))
        video, _ = self.dit(modality, None, nothing)
        return video


def positions(frames: int, height: int, width: int, fps: float = SAMPLING["fps"]) -> torch.Tensor:
    """[1, 3, tokens, 2] starts and ends of latent cells: seconds, rows, columns."""
    f, h, w = torch.meshgrid(
        torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij"
    )
    start = torch.stack([f, h, w]).flatten(1).float()
    scale = torch.tensor([SCALE_TIME, SCALE_SPACE, SCALE_SPACE])[:, None].float()
    begin, end = start * scale, (start + 1) * scale
    for edge in (begin, end):
        edge[0] = (edge[0] + 1 - SCALE_TIME).clamp(min=0) / fps
    return torch.stack([begin, end], -1)[None]


def to_tokens(latents: torch.Tensor) -> torch.Tensor:
    """[batch, channels, frames, height, width] -> [batch, tokens, channels]."""
    return latents.flatten(2).transpose(1, 2)


def to_latents(tokens: torch.Tensor, frames: int, height: int, width: int) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(len(tokens), -1, frames, height, width)


def parameters(module: nn.Module) -> dict[str, Any]:
    return {k: v.detach().float().contiguous() for k, v in module.state_dict().items()}
