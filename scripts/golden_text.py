"""What the golden files start from: strings, pictures, and the token ids of Hugging Face."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LONG = (
    "a cat walks through tall grass in the morning light, the shot is handheld and warm; waves "
    "roll over dark sand as the sun sets behind a lighthouse, then two black squares cross each "
    "other near the upper edge of the picture while a small purple star falls down and bounces."
)


def clip(frames: int, height: int, width: int) -> np.ndarray:
    """A disc over a gradient, moving, with a little texture: frames x height x width x 3."""
    t, y, x = np.mgrid[0:frames, 0:height, 0:width].astype(np.int64)
    inside = (x - 3 * t - width // 4) ** 2 + (y - height // 2 + t) ** 2 < (height // 4) ** 2
    red = np.where(inside, 220, x * 255 // width)
    green = np.where(inside, 40 + (x * 7 + y * 13) % 32, y * 255 // height)
    blue = np.where(inside, 30, (x * 5 + y * 3 + t * 11) % 256)
    return np.ascontiguousarray(np.stack([red, green, blue], -1).astype(np.uint8))


def picture(name: str) -> np.ndarray:
    """`fits` has the target's size; the others need enlarging or shrinking, then a crop."""
    sizes = {"fits": (64, 64), "wide": (50, 141), "tall": (137, 75)}
    return np.ascontiguousarray(clip(1, *sizes[name])[0])


# Emoji, CJK, Arabic, combining marks, runs of white space, byte fallback, special tokens typed out,
# and texts longer than the encoder takes.
STRINGS: list[str] = json.loads(
    (Path(__file__).parents[1] / "tests" / "golden" / "strings.json").read_text()
)


# What a language model is asked.
TURN = "Say more.\n\nuser prompt: a cat walks  past\n\t\ta wall, \u732b \U0001f431"


def writing(r: Any) -> dict[str, np.ndarray]:
    """Logits after a few tokens and after many, then after each of 12 more, the likeliest.

    `narrow` has another window than the checkpoint states, of 6.
    """
    import torch
    from transformers import AutoTokenizer, Gemma3ForCausalLM

    ids = r.encode(LONG).ids
    out: dict[str, np.ndarray] = {}
    window = r.gemma_config().sliding_window
    for name, count, seen in (("few", 3, window), ("many", 30, window), ("narrow", 30, 6)):
        if name == "narrow" and window == seen:
            continue
        config = r.gemma_config()
        config.sliding_window = seen
        model = Gemma3ForCausalLM(config).float().eval()
        model.model.load_state_dict(r.gemma().state_dict())
        model.tie_weights()
        past, tokens, logits = None, ids[:count].tolist(), []
        for _ in range(13):
            new = tokens if past is None else tokens[-1:]
            result = model(torch.tensor([new]), past_key_values=past, use_cache=True)
            past = result.past_key_values
            logits.append(result.logits[0, -1].numpy())
            tokens.append(int(logits[-1].argmax()))
        whole = model(torch.tensor([tokens[:-1]]), use_cache=False).logits[0, count - 1 :].numpy()
        assert np.abs(whole - np.array(logits)).max() < 1e-4
        out |= {f"{name}.ids": np.array(tokens, np.int32), f"{name}.logits": np.array(logits)}
    hugging_face = AutoTokenizer.from_pretrained(r.gemma_folder)
    text = f"<bos><start_of_turn>user\n{TURN}<end_of_turn>\n<start_of_turn>model\n"
    turn = hugging_face(text, add_special_tokens=False)["input_ids"]
    return out | {"turn.ids": np.array(turn, np.int32)}


def tokenizer(r: Any) -> dict[str, np.ndarray]:
    """Ids of every string of strings.json, cut at 32 and at 1024."""
    return encode_all(r.gemma_folder)


def encode_all(folder: Path) -> dict[str, np.ndarray]:
    """Rows one after the other in `ids`; row i ends before `ends[i]`."""
    from ltx_core.text_encoders.gemma.tokenizer import LTXVGemmaTokenizer

    out: dict[str, np.ndarray] = {}
    for length in (1024, 32):
        hugging_face = LTXVGemmaTokenizer(str(folder), length)
        rows = [
            [int(i) for i, m in hugging_face.tokenize_with_weights(s)["gemma"] if int(m)]
            for s in STRINGS
        ]
        out[f"ids.{length}"] = np.array([i for row in rows for i in row], np.int32)
        out[f"ends.{length}"] = np.cumsum([len(row) for row in rows]).astype(np.int32)
    return out
