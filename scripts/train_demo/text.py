"""The demo's own tokenizer: Gemma 3's construction with a vocabulary of a thousand pieces."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from config import TEXT_LENGTH
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer
from world import caption, training_scene

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
BYTES = [f"<0x{i:02X}>" for i in range(256)]
CAPTIONS = 20000
VOCABULARY = 1056
CAPTION_LENGTH = 32  # ids of the longest caption in training, and a few more


def _merges() -> list[tuple[str, str]]:
    """Byte pair merges learned on the captions; a merge never crosses a space."""
    rng = np.random.default_rng(5)
    lines = [caption(training_scene(rng), rng) for _ in range(CAPTIONS)]
    trainer_model = Tokenizer(models.BPE())
    trainer_model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    alphabet = [chr(i) for i in range(33, 127)] + ["\u2581"]
    room = VOCABULARY - len(SPECIAL) - len(BYTES)
    trainer = trainers.BpeTrainer(
        vocab_size=room, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    trainer_model.train_from_iterator(lines, trainer)
    learned = json.loads(trainer_model.to_str())["model"]
    return [tuple(pair) for pair in learned["merges"]]


def build(folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json as Gemma 3's are built."""
    merges = _merges()
    singles = sorted(
        {c for pair in merges for piece in pair for c in piece}
        | {chr(i) for i in range(33, 127)}
        | {"\u2581", "\n", "\t"}
    )
    pieces = SPECIAL + BYTES + singles + [a + b for a, b in merges]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    while len(vocabulary) % 32:
        vocabulary[f"<unused{len(vocabulary)}>"] = len(vocabulary)
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(SPECIAL)
    content = json.loads(tokenizer.to_str())
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<bos>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [
            {"SpecialToken": {"id": "<bos>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<bos>", "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    }
    settings: dict[str, Any] = {
        "tokenizer_class": "GemmaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": TEXT_LENGTH,
        "padding_side": "left",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("tokenizer.json", content), ("tokenizer_config.json", settings)):
        (folder / name).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")


class Prompts:
    """Prompts -> token ids padded on the right, and their lengths."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self.size = len(self.tokenizer)

    def __call__(
        self, prompts: list[str], width: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of `width` ids, or as many as the longest needs."""
        rows = [
            self.tokenizer(p.strip(), truncation=True, max_length=width or TEXT_LENGTH).input_ids
            for p in prompts
        ]
        lengths = torch.tensor([len(r) for r in rows])
        ids = torch.zeros(len(rows), width or int(lengths.max()), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids, lengths


def prompts_in(folder: Path) -> Prompts:
    """Of the tokenizer there, which is built where there is none."""
    if not (folder / "tokenizer.json").exists():
        build(folder)
    return Prompts(folder)
