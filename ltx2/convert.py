"""Turns the official checkpoint, or a Hugging Face Gemma 3 folder, into one GGUF file, quantised.

Names stay what they are: the official ones for LTX-2.3, llama.cpp's for Gemma. docs/gguf.md states
the layout. Nothing that generates imports this file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .convert_gemma import plan_gemma
from .errors import InvalidArgumentError, ModelError
from .gguf_out import BLOCK, FILE_TYPES, TYPES, Item, Key, Plan, Type, write
from .safetensors import SafetensorsFile

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from .video import Progress

_DIT = "model.diffusion_model."
_BLOCK_NAME = re.compile(r"model\.diffusion_model\.transformer_blocks\.(\d+)\.")
_PROJECTION = "text_embedding_projection."
_STATISTICS = "vae.per_channel_statistics."
_VIDEO = (_DIT, _PROJECTION, "vae.encoder.", "vae.decoder.", _STATISTICS)
_AUDIO = ("audio_vae.", "vocoder.")
_AUDIO_WITHIN = re.compile(r"audio|av_ca_|a2v")
_KEPT_STATISTICS = ("mean-of-means", "std-of-means")

# Small, and every token passes through them: rounding them costs more than it saves.
_TABLES = re.compile(r"scale_shift_table|learnable_registers|per_channel_statistics")
_PRECISE = re.compile(r"adaln|to_gate_logits|\.(patchify_proj|proj_out)\.")
_ONE_STEP_HIGHER = {Type.Q4_0: Type.Q5_1, Type.Q5_1: Type.Q8_0, Type.Q8_0: Type.F16}

_SAMPLING: dict[str, dict[str, Any]] = {
    "distilled": {"schedule": "distilled", "steps": 8, "guidance": 1.0, "stg": 0.0}
    | {"rescale": 0.0, "stg_blocks": []},
    "dev": {"schedule": "ltx2", "steps": 30, "guidance": 3.0, "stg": 1.0}
    | {"rescale": 0.7, "stg_blocks": [28]},
}
VARIANTS = tuple(_SAMPLING)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    type: str = "q8_0",  # noqa: A002 - the option's name in the command line
    *,
    variant: str | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Path:
    """Convert a model for use by `Session`; returns the path of the new file.

    source: the official single file (.safetensors), or a folder with Gemma 3 as Hugging Face
        publishes it: config.json, one or several .safetensors, tokenizer.json or tokenizer.model.
    target: the GGUF file; it appears, or is replaced, only when it is whole.
    type: "f32", "f16", "q8_0", "q5_1" or "q4_0": how large matrices are stored. Audio and vision
        tensors are left out.
    variant: "distilled" or "dev": which sampling defaults the new file states, where the source
        states none. By default "distilled" where the source's name says so, else nothing.
    progress: gets stage "convert", `done` of `total` bytes of the source; what it raises stops the
        work.

    Memory stays far below 1 GB whatever the size of the source; time is a minute for some 5 GB.

    Raises InvalidArgumentError for a bad argument, ModelError for a source that is missing,
    damaged or another model, and OSError where the system refuses, as when the disk is full.
    """
    source, target = Path(source), Path(target)
    wanted = TYPES.get(type.lower())
    if wanted is None:
        raise InvalidArgumentError(f"type: {type} is not one of {', '.join(TYPES)}")
    if variant is not None and variant not in VARIANTS:
        raise InvalidArgumentError(f"variant: {variant} is not one of {', '.join(VARIANTS)}")
    if source.is_dir():
        if variant is not None:
            raise InvalidArgumentError(f"variant: {source} is a text encoder and has none")
        plan = plan_gemma(source, wanted)
    else:
        plan = _plan_ltx(SafetensorsFile(source), wanted, variant)
    plan.add_key("general.quantization_version", 2, Key.UINT32)
    plan.add_key("general.file_type", FILE_TYPES[wanted], Key.UINT32)
    write(plan, target, progress)
    return target


def _plan_ltx(source: SafetensorsFile, wanted: Type, variant: str | None) -> Plan:
    """The new file for an official checkpoint: its video tensors, under the same names."""
    config = _config(source)
    kept = [tensor for name, tensor in source.tensors.items() if _is_video(source, name)]
    if not kept:
        raise ModelError(f"{source.path}: holds no tensor of LTX-2.3")
    blocks = [int(match[1]) for t in kept if (match := _BLOCK_NAME.match(t.name))]
    count = max(blocks, default=-1) + 1
    edges = {0, 1, count - 2, count - 1}
    plan = Plan("ltxv")
    plan.add_key("general.name", source.path.stem, Key.STRING)
    changed = _with_sampling(source, config, variant, count)
    metadata = source.metadata | ({"config": json.dumps(config)} if changed else {})
    for key, value in metadata.items():
        if key != "format" and value and not key.startswith("general."):  # "pt" says nothing here
            plan.add_key(key, value, Key.STRING)
    for tensor in kept:
        if len(tensor.shape) > 5 or not tensor.size:
            raise ModelError(f"{source.path}: {tensor.name} has shape {list(tensor.shape)}")
        stored = _stored_type(tensor.name, tensor.shape, wanted, edges)
        plan.items.append(Item(source, tensor, tensor.name, stored))
    return plan


def _config(source: SafetensorsFile) -> dict[str, Any]:
    text, version = source.metadata.get("config"), source.metadata.get("model_version", "")
    if text is None:
        raise ModelError(f"{source.path}: its header has no config; not an official LTX-2.3 file")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source.path}: config in its header is not JSON ({error})") from None
    if not isinstance(config, dict):
        raise ModelError(f"{source.path}: config in its header is not an object")
    if not version.startswith("2.3"):
        raise ModelError(f"{source.path}: is version {version or 'unknown'}; only 2.3 is supported")
    return config


def _is_video(source: SafetensorsFile, name: str) -> bool:
    """Whether a tensor is needed to make video; a name no LTX-2.3 file has is an error."""
    if name.startswith(_AUDIO):
        return False
    if not name.startswith(_VIDEO):
        raise ModelError(f"{source.path}: {name} is not a tensor of an official LTX-2.3 file")
    if name.startswith(_STATISTICS):
        return name.removeprefix(_STATISTICS) in _KEPT_STATISTICS
    return name.startswith("vae.") or not _AUDIO_WITHIN.search(name)


def _with_sampling(
    source: SafetensorsFile, config: dict[str, Any], variant: str | None, blocks: int
) -> bool:
    """Adds `sampling` to `config` where there is none and the variant is known."""
    if variant is None and "distilled" in source.path.name:
        variant = "distilled"
    if variant is None or "sampling" in config:
        return False
    skipped = _SAMPLING[variant]["stg_blocks"]
    if any(block >= blocks for block in skipped):
        raise InvalidArgumentError(
            f"variant: {variant} skips block {max(skipped)}, {source.path} has {blocks} blocks; "
            "state config.sampling in the source"
        )
    config["sampling"] = _SAMPLING[variant]
    return True


def _stored_type(name: str, shape: tuple[int, ...], wanted: Type, edges: set[int]) -> Type:
    """How one tensor is stored when matrices are to be `wanted`."""
    if wanted == Type.F32 or len(shape) < 2 or _TABLES.search(name):
        return Type.F32
    quantised = len(shape) == 2 and not name.startswith("vae.") and not _PRECISE.search(name)
    if not quantised or shape[-1] % BLOCK:
        return Type.F16
    block = _BLOCK_NAME.match(name)
    if block and int(block[1]) in edges:
        return _ONE_STEP_HIGHER.get(wanted, wanted)
    return wanted
