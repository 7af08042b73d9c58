"""Capitals do not matter to the demo: pieces of its tokenizer also in capitals, with the same rows.

A text encoder in GGUF has a score for each piece, and joins what lies side by side by the scores of
what that makes.  A copy of each piece with a capital first, and of each in capitals, each with the
score and the embedding of its own, therefore joins as these do.  What was trained stays as it is,
but for single capitals that no caption begins with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

SPACE = "\u2581"
NORMAL = 1  # the kind of a token


def variants(piece: str) -> list[str]:
    """The piece with its first letter in capitals, and all of it so."""
    first = next((i for i, c in enumerate(piece) if c != SPACE), 0)
    made = (piece[:first] + piece[first:].capitalize(), piece.upper())
    return [v for v in dict.fromkeys(made) if v != piece]


def copies(pieces: list[str], kinds: list[int], begins: set[str]) -> dict[str, int]:
    """Each piece to add or to change, and whose row it gets; not those that captions begin with."""
    found: dict[str, int] = {}
    for i, (piece, kind) in enumerate(zip(pieces, kinds, strict=True)):
        if kind != NORMAL or piece != piece.lower() or piece.startswith("<unused"):
            continue
        for variant in variants(piece):
            if variant not in begins:
                found.setdefault(variant, i)
    return found


def extend(source: Path, target: Path) -> None:
    """The text encoder of `source` with them."""
    reader = gguf.GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tokens = "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"
    pieces, scores, kinds = (list(fields[name]) for name in tokens)
    # Longer pieces with a capital were learned from sentences: `The`, and the letters within it.
    learned = {p for p in pieces if len(p) > 1 and p[0].isupper()}
    begins = learned | {letter for p in learned for letter in p if letter.isupper()} | {"A"}
    own = {piece: i for i, piece in enumerate(pieces)}
    embedding = next(t for t in reader.tensors if t.name == "token_embd.weight")
    rows = np.array(embedding.data)
    whose = copies(pieces, kinds, begins)
    for piece, row in whose.items():
        if piece in own:
            rows[own[piece]], scores[own[piece]] = rows[row], scores[row]
    new = [piece for piece in whose if piece not in own]
    pieces += new
    scores += [scores[whose[piece]] for piece in new]
    kinds += [NORMAL] * len(new)
    rows = np.concatenate([rows, rows[[whose[piece] for piece in new]]])
    changed: dict[str, Any] = dict(zip(tokens, (pieces, scores, kinds), strict=True))
    partial = target.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, str(fields["general.architecture"]))
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            writer.add_key_value(
                name,
                changed.get(name, fields[name]),
                field.types[0],
                field.types[-1] if len(field.types) > 1 else None,
            )
    for tensor in reader.tensors:
        data = rows if tensor.name == embedding.name else tensor.data
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)
    print(f"{target.name}: {len(new)} pieces more, {target.stat().st_size / 1e6:.2f} MB")
