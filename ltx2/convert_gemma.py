"""A Hugging Face Gemma 3 folder as one GGUF file in llama.cpp's layout: names, keys, tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .convert_tokenizer import read_vocabulary
from .errors import ModelError
from .gguf_out import BLOCK, Item, Key, Plan, Type
from .safetensors import SafetensorsFile

if TYPE_CHECKING:
    from pathlib import Path

    from .safetensors import Tensor

_PREFIXES = ("language_model.model.", "model.language_model.", "model.")
_LEFT_OUT = (
    "vision_tower.", "vision_model.", "multi_modal_projector.", "model.vision_tower.",
    "model.multi_modal_projector.", "lm_head.", "language_model.lm_head.", "spiece_model",
)  # fmt: skip

_SPECIAL = {"bos": "<bos>", "eos": "<eos>", "unknown": "<unk>", "padding": "<pad>"}

# What transformers takes where a config.json is silent.
_DEFAULTS: dict[str, Any] = {
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "sliding_window": 4096,
    "query_pre_attn_scalar": 256, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
    "sliding_window_pattern": 6,
}  # fmt: skip


@dataclass(frozen=True)
class _Config:
    """The text model's sizes; `values` are config.json's, with the defaults under them."""

    path: Path
    values: dict[str, Any]

    def integer(self, key: str) -> int:
        value = self.values[key]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not 0 < value < 2**31:
            raise ModelError(f"{self.path}: {key} is {value}, not a positive integer")
        return value

    def number(self, key: str) -> float:
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise ModelError(f"{self.path}: {key} is {value}, not a positive number")
        return float(value)


def plan_gemma(folder: Path, wanted: Type) -> Plan:
    """The new file for a folder; raises ModelError naming what is missing or does not fit."""
    config = _read_config(folder)
    tensors = _find_tensors(folder)
    plan = Plan("gemma3")
    plan.add_key("general.name", folder.resolve().name, Key.STRING)
    _add_keys(plan, config)
    rows = 0
    for source_name, (name, shape) in _expected(config).items():
        if source_name not in tensors:
            raise ModelError(f"{folder}: tensor {source_name} is missing")
        source, tensor = tensors.pop(source_name)
        if name == "token_embd.weight" and len(tensor.shape) == 2:
            rows = tensor.shape[0]
            shape = (rows, *shape[1:])
        if tensor.shape != shape:
            raise ModelError(
                f"{source.path}: {tensor.name} is {list(tensor.shape)}, "
                f"by config.json it is {list(shape)}"
            )
        # A norm multiplies by 1 + weight; llama.cpp's files hold the sum.
        add = 1.0 if name.endswith("norm.weight") else 0.0
        plan.items.append(Item(source, tensor, name, _stored_type(name, shape, wanted), add))
    if tensors:
        raise ModelError(f"{folder}: tensor {min(tensors)} is not one of Gemma 3")
    _add_tokenizer(plan, folder, rows)
    return plan


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object")
    return value


def _read_config(folder: Path) -> _Config:
    """config.json, whether the text model's part is nested or all there is."""
    path = folder / "config.json"
    values = _read_json(path)
    kind = values.get("model_type")
    if kind not in ("gemma3", "gemma3_text"):
        raise ModelError(f"{path}: model_type is {kind}; only gemma3 is supported")
    if "text_config" in values:
        values = values["text_config"]
        if not isinstance(values, dict):
            raise ModelError(f"{path}: text_config is not an object")
    config = _Config(path, {k: v for k, v in values.items() if v is not None})
    for key in ("attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention"):
        if config.values.get(key):
            raise ModelError(f"{path}: {key} is not supported")
    _normalise_rope(config)
    if "_sliding_window_pattern" in config.values:
        config.values.setdefault("sliding_window_pattern", config.values["_sliding_window_pattern"])
    _normalise_layer_types(config)
    config.values.update({k: v for k, v in _DEFAULTS.items() if k not in config.values})
    if config.integer("num_attention_heads") % config.integer("num_key_value_heads"):
        raise ModelError(f"{path}: num_attention_heads is no multiple of num_key_value_heads")
    return config


def _normalise_rope(config: _Config) -> None:
    """Both spellings, transformers 4's and 5's, end as rope_theta, rope_local_base_freq, factor."""
    values = config.values
    both = values.get("rope_parameters", {})
    try:
        if both:
            scaling, local = both["full_attention"], both["sliding_attention"]
            values["rope_theta"] = scaling["rope_theta"]
            values["rope_local_base_freq"] = local["rope_theta"]
            if local.get("rope_type", "default") != "default":
                raise ModelError(f"{config.path}: scaled local positions are not supported")
        else:
            scaling = values.get("rope_scaling", {})
        kind = scaling.get("rope_type", scaling.get("type", "default"))
    except (TypeError, KeyError, AttributeError):
        raise ModelError(f"{config.path}: its rope settings are malformed") from None
    if kind not in ("linear", "default"):
        raise ModelError(f"{config.path}: rope_type {kind} is not supported")
    if kind == "linear":
        values["factor"] = scaling.get("factor")


def _normalise_layer_types(config: _Config) -> None:
    """A list of layer types must be what one number can say: every n-th is global."""
    types = config.values.get("layer_types")
    if not types:
        return
    full = [i + 1 for i, kind in enumerate(types) if kind == "full_attention"]
    pattern = config.values.get("sliding_window_pattern", full[0] if full else len(types) + 1)
    config.values["sliding_window_pattern"] = pattern
    if full != list(range(config.integer("sliding_window_pattern"), len(types) + 1, pattern)):
        raise ModelError(f"{config.path}: layer_types is no repeated pattern")


def _add_keys(plan: Plan, config: _Config) -> None:
    integers = {
        "context_length": "max_position_embeddings", "embedding_length": "hidden_size",
        "block_count": "num_hidden_layers", "feed_forward_length": "intermediate_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "num_key_value_heads", "attention.key_length": "head_dim",
        "attention.value_length": "head_dim", "attention.sliding_window": "sliding_window",
    }  # fmt: skip
    for key, name in integers.items():
        plan.add_key(f"gemma3.{key}", config.integer(name), Key.UINT32)
    epsilon, base = config.number("rms_norm_eps"), config.number("rope_theta")
    plan.add_key("gemma3.attention.layer_norm_rms_epsilon", epsilon, Key.FLOAT32)
    plan.add_key("gemma3.rope.freq_base", base, Key.FLOAT32)
    if "factor" in config.values:
        plan.add_key("gemma3.rope.scaling.type", "linear", Key.STRING)
        plan.add_key("gemma3.rope.scaling.factor", config.number("factor"), Key.FLOAT32)
    scalar = config.number("query_pre_attn_scalar")
    if scalar != config.integer("head_dim"):
        plan.add_key("gemma3.attention.scale", scalar**-0.5, Key.FLOAT32)
    # llama.cpp has these two in its code; a file of another geometry must say them.
    local = config.number("rope_local_base_freq")
    pattern = config.integer("sliding_window_pattern")
    plan.add_key("ltx2.rope.freq_base_local", local, Key.FLOAT32)
    plan.add_key("ltx2.attention.sliding_window_pattern", pattern, Key.UINT32)


def _expected(config: _Config) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name in the folder, without prefix -> name in GGUF, and shape (rows of the embedding: 0)."""
    wide, ff = config.integer("hidden_size"), config.integer("intermediate_size")
    head = config.integer("head_dim")
    q = config.integer("num_attention_heads") * head
    kv = config.integer("num_key_value_heads") * head
    block: dict[str, tuple[str, tuple[int, ...]]] = {
        "input_layernorm": ("attn_norm", (wide,)),
        "self_attn.q_proj": ("attn_q", (q, wide)),
        "self_attn.k_proj": ("attn_k", (kv, wide)),
        "self_attn.v_proj": ("attn_v", (kv, wide)),
        "self_attn.o_proj": ("attn_output", (wide, q)),
        "self_attn.q_norm": ("attn_q_norm", (head,)),
        "self_attn.k_norm": ("attn_k_norm", (head,)),
        "post_attention_layernorm": ("post_attention_norm", (wide,)),
        "pre_feedforward_layernorm": ("ffn_norm", (wide,)),
        "mlp.gate_proj": ("ffn_gate", (ff, wide)),
        "mlp.up_proj": ("ffn_up", (ff, wide)),
        "mlp.down_proj": ("ffn_down", (wide, ff)),
        "post_feedforward_layernorm": ("post_ffw_norm", (wide,)),
    }
    table: dict[str, tuple[str, tuple[int, ...]]] = {}
    table["embed_tokens.weight"] = ("token_embd.weight", (0, wide))
    for i in range(config.integer("num_hidden_layers")):
        for theirs, (ours, shape) in block.items():
            table[f"layers.{i}.{theirs}.weight"] = (f"blk.{i}.{ours}.weight", shape)
    table["norm.weight"] = ("output_norm.weight", (wide,))
    return table


def _find_tensors(folder: Path) -> dict[str, tuple[SafetensorsFile, Tensor]]:
    """Name without prefix -> tensor, over all files of the folder; only the text model's."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        shards = _read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not all(isinstance(s, str) for s in shards.values()):
            raise ModelError(f"{index}: weight_map is not a table of file names")
        paths = sorted({folder / name for name in shards.values()})
    else:
        paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ModelError(f"{folder}: holds no .safetensors file")
    found: dict[str, tuple[SafetensorsFile, Tensor]] = {}
    for path in paths:
        source = SafetensorsFile(path)
        for tensor in source.tensors.values():
            if tensor.name.startswith(_LEFT_OUT):
                continue
            prefix = next((p for p in _PREFIXES if tensor.name.startswith(p)), "")
            name = tensor.name.removeprefix(prefix)
            if name in found:
                raise ModelError(f"{folder}: tensor {name} is in two files")
            found[name] = source, tensor
    return found


def _stored_type(name: str, shape: tuple[int, ...], wanted: Type) -> Type:
    if wanted == Type.F32 or len(shape) < 2:
        return Type.F32
    if shape[-1] % BLOCK:
        return Type.F16
    if name == "token_embd.weight" and wanted != Type.F16:
        return Type.Q8_0  # only the prompt's rows are read: its size costs the disk, no memory
    return wanted


def _add_tokenizer(plan: Plan, folder: Path, rows: int) -> None:
    """The tokenizer's keys, as llama.cpp names them; one token a row of the embedding."""
    vocabulary = read_vocabulary(folder).sized(rows)
    plan.add_key("tokenizer.ggml.model", "llama", Key.STRING)
    plan.add_key("tokenizer.ggml.pre", "default", Key.STRING)
    for key, array in (
        ("tokens", vocabulary.tokens),
        ("scores", vocabulary.scores),
        ("token_type", vocabulary.types),
    ):
        plan.add_key(f"tokenizer.ggml.{key}", array, Key.ARRAY)
    for key, token in _SPECIAL.items():
        plan.add_key(f"tokenizer.ggml.{key}_token_id", vocabulary.id(token), Key.UINT32)
    plan.add_key("tokenizer.ggml.add_bos_token", True, Key.BOOL)
    plan.add_key("tokenizer.ggml.add_eos_token", False, Key.BOOL)
    plan.add_key("tokenizer.ggml.add_space_prefix", vocabulary.space_prefix, Key.BOOL)
