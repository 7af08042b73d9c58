"""Gemma's tokenizer files as the arrays a GGUF file holds: tokens, scores, types.

A GGUF tokenizer of model "llama" joins, again and again, the two neighbours whose joined token has
the highest score. tokenizer.json lists pairs by rank instead; the score of a token is minus its
place among the tokens by their first pair, so the same pair wins. For Gemma's own file these are
the scores its GGUF files have, for every token of more than one character; the others' are never
looked at. (Scores can say a list in which all pairs of a token stand together; another is refused.)
"""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The numbers of SentencePiece and of GGUF alike.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = "\u2581"
_NOT_JOINED = -1000.0  # llama.cpp's score of tokens that no joining makes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Vocabulary:
    """By token id: text, score, type."""

    path: Path
    tokens: list[str]
    scores: list[float]
    types: list[int]
    space_prefix: bool
    """Whether text gets a space in front."""

    def id(self, token: str) -> int:
        """The id of a token that every Gemma has; ModelError where it is missing."""
        try:
            return self.tokens.index(token)
        except ValueError:
            raise ModelError(f"{self.path}: has no token {token}") from None

    def sized(self, rows: int) -> Vocabulary:
        """With exactly `rows` tokens, as the embedding has.

        Rows without a token become unused ones; special tokens without a row, which only images
        need, go.
        """
        if any(kind not in (CONTROL, UNUSED) for kind in self.types[rows:]):
            raise ModelError(f"{self.path}: {len(self.tokens)} tokens for {rows} rows of embedding")
        missing = range(len(self.tokens), rows)
        return dataclasses.replace(
            self,
            tokens=[*self.tokens[:rows], *(f"[PAD{i}]" for i in missing)],
            scores=[*self.scores[:rows], *(_NOT_JOINED for _ in missing)],
            types=[*self.types[:rows], *(UNUSED for _ in missing)],
        )


def read_vocabulary(folder: Path) -> Vocabulary:
    """From tokenizer.json, which is what Hugging Face's tokenizer reads, else tokenizer.model."""
    for name, read in (("tokenizer.json", _from_json), ("tokenizer.model", _from_sentencepiece)):
        path = folder / name
        if not path.exists():
            continue
        try:
            return read(path)
        except ModelError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not readable ({error})") from None
        except (TypeError, KeyError, IndexError, AttributeError, struct.error):
            raise ModelError(f"{path}: malformed, or not a tokenizer of Gemma 3") from None
    raise ModelError(f"{folder}: holds neither tokenizer.json nor tokenizer.model")


def _in_gguf(token: str, kind: int) -> str:
    """llama.cpp writes spaces of tokens that are matched as a whole as they stand in the text."""
    return token.replace(_SPACE, " ") if kind == USER_DEFINED else token


def _from_json(path: Path) -> Vocabulary:
    table = json.loads(path.read_text("utf-8"))
    model = table["model"]
    if model["type"] != "BPE":
        raise ModelError(f"{path}: a tokenizer of type {model['type']}; Gemma 3's is BPE")
    kinds = {token: BYTE for token in model["vocab"] if _BYTE_TOKEN.fullmatch(token)}
    ids = dict(model["vocab"])
    for added in table["added_tokens"]:
        ids[added["content"]] = added["id"]
        kinds[added["content"]] = CONTROL if added["special"] else USER_DEFINED
    kinds[model["unk_token"]] = UNKNOWN
    by_id = sorted(ids.items(), key=lambda pair: pair[1])
    if [index for _, index in by_id] != list(range(len(by_id))):
        raise ModelError(f"{path}: its token ids are not 0 to {len(by_id) - 1}, each once")
    scores = _scores(path, model["merges"], kinds)
    after = -float(len(scores))  # characters by themselves, which no joining makes
    tokens = [token for token, _ in by_id]
    types = [kinds.get(token, NORMAL) for token in tokens]
    return Vocabulary(
        path,
        [_in_gguf(token, kind) for token, kind in zip(tokens, types, strict=True)],
        [_score(kind, scores.get(token, after)) for token, kind in zip(tokens, types, strict=True)],
        types,
        _prepends_space(path, table["normalizer"]),
    )


def _score(kind: int, score: float) -> float:
    if kind == NORMAL:
        return score
    return 0.0 if kind == BYTE else _NOT_JOINED


def _scores(path: Path, merges: list[Any], kinds: dict[str, int]) -> dict[str, float]:
    """Token -> minus its place in the list of pairs; not for tokens that are matched as a whole."""
    places: dict[str, int] = {}
    last = ""
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        token = left + right
        if token == last or token in kinds:
            continue
        if token in places:
            raise ModelError(f"{path}: the pairs of {token!r} do not stand together")
        places[token] = len(places)
        last = token
    return {token: -float(place) for token, place in places.items()}


def _prepends_space(path: Path, normalizer: dict[str, Any]) -> bool:
    """The normalizer must be one that GGUF's keys can say: spaces to U+2581, maybe one in front."""
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    prepend = {"type": "Prepend", "prepend": _SPACE}
    if steps not in ([replace], [prepend, replace]):
        raise ModelError(f"{path}: its normalizer is not Gemma 3's")
    return len(steps) == 2


def _from_sentencepiece(path: Path) -> Vocabulary:
    """SentencePiece's protobuf: field 1 the pieces, field 3 the normalizer's settings."""
    tokens, scores, types = [], [], []
    space_prefix = True  # the format's default
    for number, value in _fields(path.read_bytes()):
        if number == 1:
            fields = dict(_fields(value))
            kind = fields.get(3, NORMAL)
            tokens.append(_in_gguf(fields[1].decode("utf-8"), kind))
            scores.append(_score_of(fields.get(2, 0.0), kind))
            types.append(kind)
        elif number == 3:
            space_prefix = bool(dict(_fields(value)).get(3, 1))
    if not tokens or any(kind not in range(NORMAL, BYTE + 1) for kind in types):
        raise ModelError(f"{path}: not a SentencePiece model")
    for token, index in _added_tokens(path.parent).items():
        if index < len(tokens):
            continue
        if index != len(tokens):
            raise ModelError(f"{path.parent}/added_tokens.json: id {index} leaves a gap")
        tokens.append(token)
        scores.append(_NOT_JOINED)
        types.append(CONTROL)
    return Vocabulary(path, tokens, scores, types, space_prefix)


def _score_of(score: float, kind: int) -> float:
    return score if kind == NORMAL else _score(kind, score)


def _added_tokens(folder: Path) -> dict[str, int]:
    path = folder / "added_tokens.json"
    table: dict[str, int] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return dict(sorted(table.items(), key=lambda pair: pair[1]))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of one protobuf message: (number, int, float or bytes)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"ends within the field at byte {at}")
        part = data[at : at + size]
        at += size
        yield number, struct.unpack("<f", part)[0] if kind == _FIXED32 else part


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        byte = data[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if not byte & 0x80:
            return value, at + i + 1
    raise ValueError(f"a number of more than ten bytes at byte {at}")
