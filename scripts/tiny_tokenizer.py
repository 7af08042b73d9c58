"""A small tokenizer built as Gemma 3's is: same kinds of pieces in the same order, 1/200 of them.

Specials, runs of newlines, spaces and tabs, markup, byte pieces, merged pieces by rank, single
characters last, and `<image_soft_token>` after the vocabulary. Merges are learnt from a few
captions, so that ordinary prompts give pieces of several letters.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SPACE = "\u2581"
MERGED_PIECES = 420
CONTROL, UNUSED, USER_DEFINED, BYTE, NORMAL, UNKNOWN = 3, 5, 4, 6, 1, 2  # sentencepiece's numbers

TEXT = (
    "a red circle moves right on a blue background a green square moves left on a white "
    "background the yellow triangle turns slowly while the camera follows it a small purple star "
    "falls down and bounces twice an orange ring grows in the middle of a grey field then shrinks "
    "again a cat walks through tall grass in the morning light the shot is handheld and warm two "
    "black squares cross each other near the upper edge of the picture waves roll over dark sand "
    "as the sun sets behind a lighthouse blurry out of focus overexposed low contrast washed out "
    "colours excessive noise grainy texture poor lighting flickering motion blur distorted "
    "proportions unnatural skin tones deformed facial features A Red Ball The Blue Cube is cyan "
    "magenta brown pink moving up moving down rotating diagonal fast slow static striped checkered "
    "gradient plain video frame frames image cinematic detailed close wide aerial view of the city "
    "street rain snow wind 12 24 30 fps 4k, hello world. she said: look! what is it? it's (really) "
    'good-looking; "yes" une r\u00e9sum\u00e9 na\u00efve caf\u00e9 '
    "\u043a\u0440\u0430\u0441\u043d\u044b\u0439 \u043a\u0440\u0443\u0433 "
    "\u8d64\u3044\u5186\u304c\u53f3\u306b\u52d5\u304f \u732b\u304c\u6b69\u304f "
    "\u0642\u0637\u0629 \u062a\u0645\u0634\u064a \u0642\u0637\u0629 e\u0301 a\u0308 \U0001f431"
)

MARKUP = ["<table>", "</table>", "<h1>", "</h1>", "<b>", "</b>", "<code>", "</code>", "<div>"]


def _words() -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for i, word in enumerate(TEXT.split(" ")):
        counts[tuple(word if i == 0 else SPACE + word)] += 1
    return counts


def _learn(count: int) -> list[str]:
    """The merged pieces, most frequent pair first; ties go to the smaller pair."""
    words = _words()
    pieces: list[str] = []
    while len(pieces) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, n in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += n
        if not pairs:
            break
        left, right = min(pairs, key=lambda p: (-pairs[p], p))
        if left + right not in pieces:
            pieces.append(left + right)
        words = Counter({_joined(word, left, right): n for word, n in words.items()})
    return pieces


def _joined(word: tuple[str, ...], left: str, right: str) -> tuple[str, ...]:
    out: list[str] = []
    for part in word:
        if out and out[-1] == left and part == right:
            out[-1] = left + right
        else:
            out.append(part)
    return tuple(out)


def pieces() -> list[tuple[str, int]]:
    """(piece, type) by id."""
    out = [("<pad>", CONTROL), ("<eos>", CONTROL), ("<bos>", CONTROL), ("<unk>", UNKNOWN)]
    out += [("<mask>", USER_DEFINED), ("[multimodal]", USER_DEFINED)]
    out += [(f"<unused{i}>", USER_DEFINED) for i in range(4)]
    out += [("<start_of_turn>", CONTROL), ("<end_of_turn>", CONTROL)]
    out += [("\n" * n, USER_DEFINED) for n in range(1, 32)]
    out += [(SPACE * n, USER_DEFINED) for n in range(2, 32)]
    out += [(tag, USER_DEFINED) for tag in MARKUP]
    out += [(f"<0x{i:02X}>", BYTE) for i in range(256)]
    out += [(piece, NORMAL) for piece in _learn(MERGED_PIECES)]
    characters = Counter(TEXT.replace(" ", SPACE))
    characters.update({chr(i): 0 for i in range(33, 127)})
    out += [(c, NORMAL) for c in sorted(characters, key=lambda c: (-characters[c], c))]
    out += [("\t" * n, USER_DEFINED) for n in range(1, 32)]
    out += [("<start_of_image>", CONTROL), ("<end_of_image>", CONTROL)]
    return out


def merges(vocabulary: dict[str, int]) -> list[list[str]]:
    """Every way to put a piece together, runs first and longest first, then by id."""
    runs = [c * n for n in range(31, 1, -1) for c in ("\n", SPACE, "\t")]
    normal = [piece for piece, kind in pieces() if kind == NORMAL and len(piece) > 1]
    out = []
    for piece in runs + normal:
        splits = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        known = [
            (vocabulary[a], vocabulary[b], a, b)
            for a, b in splits
            if a in vocabulary and b in vocabulary
        ]
        out += [[a, b] for _, _, a, b in sorted(known)]
    return out


def vocabulary_size() -> int:
    """Ids a tokenizer can give: the vocabulary and `<image_soft_token>`."""
    return len(pieces()) + 1


def _added(index: int, content: str, special: bool) -> dict[str, object]:
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def tokenizer_json() -> dict[str, object]:
    table = pieces()
    vocabulary = {piece: i for i, (piece, _) in enumerate(table)}
    added = [
        _added(i, piece, kind in (CONTROL, UNKNOWN))
        for i, (piece, kind) in enumerate(table)
        if kind in (CONTROL, UNKNOWN, USER_DEFINED)
    ]
    added.append(_added(len(table), "<image_soft_token>", True))
    bos = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"String": " "},
            "behavior": "MergedWithPrevious",
            "invert": False,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, first],
            "pair": [bos, first, {"SpecialToken": {"id": "<bos>", "type_id": 1}}, second],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges(vocabulary),
        },
    }


def tokenizer_config() -> dict[str, object]:
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<bos>",
        "eos_token": "<end_of_turn>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 32768,
        "padding_side": "left",
        "spaces_between_special_tokens": False,
        "tokenizer_class": "GemmaTokenizer",
    }


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _field(number: int, value: int | float | bytes) -> bytes:
    """One protobuf field: a whole number, a float, or bytes with their length."""
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    return _varint(number << 3) + _varint(value)


def tokenizer_model() -> bytes:
    """The same pieces as a sentencepiece file; a merged piece scores minus its rank."""
    out, rank = b"", 0
    for piece, kind in pieces():
        score = 0.0
        if kind == NORMAL:
            score, rank = -float(rank), rank + 1
        out += _field(1, _field(1, piece.encode()) + _field(2, score) + _field(3, kind))
    trainer = _field(3, 2) + _field(35, 1)  # BPE with byte fallback
    trainer += _field(40, 3) + _field(41, 2) + _field(42, 1) + _field(43, 0)  # unk bos eos pad
    trainer += _field(45, b"<unk>") + _field(46, b"<bos>") + _field(47, b"<eos>")
    trainer += _field(48, b"<pad>")
    # No dummy prefix, keep every space, spaces become U+2581.
    normalizer = _field(1, b"identity") + _field(3, 0) + _field(4, 0) + _field(5, 1)
    return out + _field(2, trainer) + _field(3, normalizer)


def write(folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and tokenizer.model, as a Gemma 3 folder has them."""
    for name, value in (
        ("tokenizer.json", tokenizer_json()),
        ("tokenizer_config.json", tokenizer_config()),
    ):
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
