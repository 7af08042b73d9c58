#!/usr/bin/env python3
"""Golden files of Gemma 4 on its tiny checkpoints: hidden states, logits, and ids of the tokenizer.

    python scripts/golden_gemma4.py                        # all of them, into tests/golden
    python scripts/golden_gemma4.py --full-width build/full  # two layers of true width, not kept

Needs transformers 5 (5.24 made them), torch and numpy; not ltx-core, which wants another
transformers. What transformers computes is in float32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import golden_files
import numpy as np
import tiny_gemma4
import torch
from golden_files import GOLDEN
from transformers import Gemma4UnifiedForCausalLM
from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedTextConfig

Arrays = dict[str, np.ndarray]
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def ids(count: int) -> list[int]:
    """<bos> and `count` - 1 tokens of all the vocabulary."""
    return [2, *((i * i * 37 + 101 * i + 11) % tiny_gemma4.ROWS for i in range(1, count))]


def model(name: str) -> Any:
    text = tiny_gemma4.GEOMETRIES[name]["config"]
    config = Gemma4UnifiedTextConfig(
        vocab_size=tiny_gemma4.ROWS, attn_implementation="eager", **text
    )
    out = Gemma4UnifiedForCausalLM(config).float().eval()
    values = {n: torch.from_numpy(a.copy()) for n, a in tiny_gemma4.weights(name).items()}
    out.model.load_state_dict(values, strict=True)
    out.tie_weights()
    return out


def states(name: str) -> Arrays:
    """Hidden states S0..SN, all in one array, of one token, and of more than the window has."""
    gemma, out = model(name), {}
    for case, count in (("one", 1), ("long", 21)):
        tokens = ids(count)
        result = gemma.model(
            torch.tensor([tokens]), output_hidden_states=True, use_cache=False
        ).hidden_states
        out[f"{case}.ids"] = np.array(tokens, np.int32)
        out[f"{case}.states"] = torch.cat(result).numpy()
    return out


def writing(name: str) -> Arrays:
    """The 16 best of the logits after 9 tokens, and after each of 8 more, the likeliest."""
    gemma, tokens, logits = model(name), ids(9), []
    for _ in range(9):
        logits.append(gemma(torch.tensor([tokens]), use_cache=False).logits[0, -1])
        tokens.append(int(logits[-1].argmax()))
    values, best = torch.stack(logits).topk(16)
    return {
        "writing.ids": np.array(tokens, np.int32),
        "writing.logits": values.numpy(),
        "writing.best": best.numpy().astype(np.int32),
    }


def tokenizer() -> Arrays:
    """Ids of every string of strings.json and of `typed`, cut at 32 and at 1024, as LTX-2.5 has
    them: the text stripped, <bos> before it where it begins with none."""
    from tokenizers import Tokenizer

    hugging_face = Tokenizer.from_str(json.dumps(tiny_gemma4.tokenizer_json()))
    strings = json.loads((GOLDEN / "strings.json").read_text())
    rows = [hugging_face.encode(s.strip()).ids for s in strings]
    rows = [row if row[:1] == [2] else [2, *row] for row in rows]
    out: Arrays = {}
    for length in (1024, 32):
        cut = [row[:length] for row in rows]
        out[f"ids.{length}"] = np.array([i for row in cut for i in row], np.int32)
        out[f"ends.{length}"] = np.cumsum([len(row) for row in cut]).astype(np.int32)
    return out


def write(name: str, arrays: Arrays, about: str, folder: Path = GOLDEN) -> None:
    golden_files.write(name, arrays, "golden_gemma4.py", about, PACKAGES, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--full-width", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    if args.full_width:
        folder = tiny_gemma4.generate("full", args.full_width / "gemma4", "folder").parent
        write("full-gemma4", states("full"), states.__doc__ or "", folder)
        return
    for name in ("shared", "own"):
        about = " ".join(f"{states.__doc__} {writing.__doc__}".split())
        write(f"gemma4-{name}", states(name) | writing(name), about)
    write("gemma4-tokenizer", tokenizer(), " ".join((tokenizer.__doc__ or "").split()))


if __name__ == "__main__":
    main()
