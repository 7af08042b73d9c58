"""ltx2.convert: a Hugging Face Gemma 3 folder in llama.cpp's layout, tokenizer included."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
from safetensors_file import read_safetensors, write_safetensors
from test_convert import key, types, values

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = Path(__file__).parent / "golden"
SPACE = "\u2581"
Kind = gguf.TokenType
EMBEDDING = "language_model.model.embed_tokens.weight"


@pytest.fixture
def folder(tiny: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of base's Gemma that a test may change; in two shards, config nested."""
    return Path(shutil.copytree(tiny["base"].parent / "gemma", tmp_path / "gemma"))


def change(folder: Path, name: str, **changes: Any) -> None:
    """Sets keys of a JSON file; None takes one away."""
    path = folder / name
    table = json.loads(path.read_text())
    inner = table.get("text_config", table)
    inner.update(changes)
    for k in [k for k, v in changes.items() if v is None]:
        del inner[k]
    path.write_text(json.dumps(table))


def source_values(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Name without prefix -> values, over all shards."""
    out = {}
    for path in folder.glob("*.safetensors"):
        for name, (_, array) in read_safetensors(path)[0].items():
            out[name.removeprefix("language_model.model.")] = array
    return out


# ---- tensors


def test_names_values_and_norms_are_llama_cpps(folder: Path, tmp_path: Path) -> None:
    made = values(convert(folder, tmp_path / "a.gguf", "f32"))
    source = source_values(folder)
    theirs = {
        "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm", "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
        "post_ffw_norm": "post_feedforward_layernorm",
    }  # fmt: skip
    pairs = {"token_embd": "embed_tokens", "output_norm": "norm"}
    for i in range(7):
        pairs |= {f"blk.{i}.{ours}": f"layers.{i}.{name}" for ours, name in theirs.items()}
    assert set(made) == {f"{name}.weight" for name in pairs}
    for ours, name in pairs.items():
        want = source[f"{name}.weight"] + np.float32(ours.endswith("norm"))
        assert made[f"{ours}.weight"].tobytes() == want.tobytes(), ours


def test_llama_cpps_own_table_agrees_on_the_names(folder: Path, tmp_path: Path) -> None:
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GEMMA3, 7)
    made = types(convert(folder, tmp_path / "a.gguf", "f16"))
    theirs = {
        table.get_name(f"model.{name}", (".weight",))
        for name in source_values(folder)
        if not name.startswith(("vision_tower.", "multi_modal_projector."))
    }
    assert theirs == set(made)


def test_matrices_are_quantised_and_norms_are_not(folder: Path, tmp_path: Path) -> None:
    got = types(convert(folder, tmp_path / "a.gguf", "q4_0"))
    assert got["token_embd.weight"] == "Q8_0"
    assert got["blk.3.ffn_down.weight"] == "Q4_0"
    assert all(kind == "F32" for name, kind in got.items() if "norm" in name)
    assert set(got.values()) == {"Q8_0", "Q4_0", "F32"}


def test_rows_no_block_fits_stay_f16(tiny: dict[str, Path], tmp_path: Path) -> None:
    gemma = tiny["odd"].parent / "gemma"
    wide = json.loads((gemma / "config.json").read_text())
    assert wide.get("text_config", wide)["hidden_size"] % 32
    got = types(convert(gemma, tmp_path / "a.gguf", "q8_0"))
    assert got["blk.0.attn_q.weight"] == "F16"
    assert got["token_embd.weight"] == "F16"


# ---- keys


def test_keys_state_the_geometry(folder: Path, tmp_path: Path) -> None:
    made = convert(folder, tmp_path / "a.gguf", "f16")
    want = {
        "general.architecture": "gemma3", "gemma3.embedding_length": 64, "gemma3.block_count": 7,
        "gemma3.feed_forward_length": 128, "gemma3.attention.head_count": 4,
        "gemma3.attention.head_count_kv": 2, "gemma3.attention.key_length": 32,
        "gemma3.attention.value_length": 32, "gemma3.attention.sliding_window": 1024,
        "gemma3.context_length": 131072, "gemma3.rope.freq_base": 1e6,
        "gemma3.attention.layer_norm_rms_epsilon": float(np.float32(1e-6)),
        "gemma3.rope.scaling.type": "linear", "gemma3.rope.scaling.factor": 8.0,
        "gemma3.attention.scale": None, "ltx2.rope.freq_base_local": 1e4,
        "ltx2.attention.sliding_window_pattern": 6, "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default", "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1, "tokenizer.ggml.unknown_token_id": 3,
        "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False, "tokenizer.ggml.add_space_prefix": False,
    }  # fmt: skip
    assert {name: key(made, name) for name in want} == want
    for name in ("tokens", "scores", "token_type"):
        assert (
            len(key(made, f"tokenizer.ggml.{name}")) == values(made)["token_embd.weight"].shape[0]
        )


def test_every_spelling_of_config_json_gives_the_same_file(folder: Path, tmp_path: Path) -> None:
    nested = convert(folder, tmp_path / "a.gguf", "q8_0").read_bytes()
    config = json.loads((folder / "config.json").read_text())["text_config"]
    (folder / "config.json").write_text(json.dumps(config))
    assert convert(folder, tmp_path / "b.gguf", "q8_0").read_bytes() == nested
    both = {"rope_type": "default", "rope_theta": 1e4}
    full = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    layers = ["sliding_attention"] * 5 + ["full_attention", "sliding_attention"]
    change(
        folder, "config.json", rope_scaling=None, layer_types=layers,
        rope_parameters={"full_attention": full, "sliding_attention": both},
    )  # fmt: skip
    assert convert(folder, tmp_path / "c.gguf", "q8_0").read_bytes() == nested


def test_what_config_json_states_is_kept(folder: Path, tmp_path: Path) -> None:
    change(
        folder, "config.json", query_pre_attn_scalar=64, rope_local_base_freq=5e3,
        sliding_window_pattern=3, rope_scaling=None, sliding_window=512,
    )  # fmt: skip
    made = convert(folder, tmp_path / "a.gguf", "f16")
    assert key(made, "gemma3.attention.scale") == 0.125
    assert key(made, "ltx2.rope.freq_base_local") == 5e3
    assert key(made, "ltx2.attention.sliding_window_pattern") == 3
    assert key(made, "gemma3.attention.sliding_window") == 512
    assert key(made, "gemma3.rope.scaling.factor") is None


# ---- tokenizer


def last_id(folder: Path) -> int:
    """The highest id of tokenizer.json, which is that of <image_soft_token>."""
    table = json.loads((folder / "tokenizer.json").read_text())
    last: int = max(token["id"] for token in table["added_tokens"])
    return last


class Plain:
    """A plain tokenizer over a file's arrays: whole tokens, then the best pair, repeatedly."""

    def __init__(self, path: Path) -> None:
        tokens, scores, kinds = (
            key(path, f"tokenizer.ggml.{name}") for name in ("tokens", "scores", "token_type")
        )
        self.ids = {token.replace(" ", SPACE): i for i, token in enumerate(tokens)}
        whole = (Kind.CONTROL, Kind.USER_DEFINED, Kind.UNKNOWN)
        self.whole = sorted((t for t, i in self.ids.items() if kinds[i] in whole), key=len)[::-1]
        self.joined = {t: scores[i] for t, i in self.ids.items() if kinds[i] == Kind.NORMAL}

    def encode(self, text: str) -> list[int]:
        text, out = text.strip().replace(" ", SPACE), [2]
        parts: list[str] = []
        while text:
            found = next((t for t in self.whole if text.startswith(t)), None)
            if found:
                out += [*self.join(parts), self.ids[found]]
                parts = []
            elif text[0] in self.ids:
                parts.append(text[0])
            else:
                parts += [f"<0x{byte:02X}>" for byte in text[0].encode()]
            text = text[len(found or text[0]) :]
        return out + self.join(parts)

    def join(self, parts: list[str]) -> list[int]:
        while True:
            pairs = [(a + b, i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
            known = [(-self.joined[p], i) for p, i in pairs if p in self.joined]
            if not known:
                return [self.ids[part] for part in parts]
            _, i = min(known)
            parts = [*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :]]


@pytest.mark.parametrize("kept", ["tokenizer.json", "tokenizer.model"])
def test_both_tokenizer_files_give_hugging_faces_ids(
    kept: str, folder: Path, tmp_path: Path
) -> None:
    image = last_id(folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<image_soft_token>": image}))
    for name in {"tokenizer.json", "tokenizer.model"} - {kept}:
        (folder / name).unlink()
    plain = Plain(convert(folder, tmp_path / "a.gguf", "q8_0"))
    golden = np.load(GOLDEN / "all-tokenizer.npz")
    strings = json.loads((GOLDEN / "strings.json").read_text())
    rows = np.split(golden["ids.1024"], golden["ends.1024"][:-1])
    checked = 0
    for text, want in zip(strings, rows, strict=True):
        if len(text) > 300:
            continue  # the plain tokenizer above is slow
        assert plain.encode(text)[:1024] == want.tolist(), text
        checked += 1
    assert checked > 20


def vocabulary(folder: Path) -> tuple[list[str], list[int]]:
    """Tokens and types of the converted folder."""
    made = convert(folder, folder / "made.gguf_", "q8_0")
    return key(made, "tokenizer.ggml.tokens"), key(made, "tokenizer.ggml.token_type")


def test_both_tokenizer_files_give_the_same_tokens_and_types(folder: Path) -> None:
    first, image = vocabulary(folder), last_id(folder)
    (folder / "tokenizer.json").unlink()
    # <image_soft_token> stands in tokenizer.json alone, or in added_tokens.json.
    second = vocabulary(folder)
    assert [i for i, token in enumerate(second[0]) if token != first[0][i]] == [image]
    (folder / "added_tokens.json").write_text(json.dumps({first[0][image]: image}))
    assert vocabulary(folder) == first
    (folder / "added_tokens.json").write_text(json.dumps({first[0][image]: image + 1}))
    with pytest.raises(ltx2.ModelError, match=f"id {image + 1} leaves a gap after {image - 1}"):
        convert(folder, folder / "made.gguf_")


def give_rows(folder: Path, rows: int) -> None:
    """Cuts or repeats the embedding."""
    for path in folder.glob("*.safetensors"):
        tensors, metadata = read_safetensors(path)
        if EMBEDDING in tensors:
            dtype, array = tensors[EMBEDDING]
            tensors[EMBEDDING] = dtype, np.resize(array, (rows, array.shape[1]))
            write_safetensors(path, tensors, metadata)


def test_the_vocabulary_gets_the_embeddings_size(folder: Path) -> None:
    size = last_id(folder) + 1
    give_rows(folder, size)
    tokens, kinds = vocabulary(folder)
    give_rows(folder, size + 2)
    more = [f"[PAD{size}]", f"[PAD{size + 1}]"]
    assert vocabulary(folder) == (tokens + more, [*kinds, Kind.UNUSED, Kind.UNUSED])
    give_rows(folder, size - 1)  # without <image_soft_token>
    assert vocabulary(folder) == (tokens[:-1], kinds[:-1])
    give_rows(folder, 900)
    with pytest.raises(ltx2.ModelError, match=f"{size} tokens for 900 rows"):
        vocabulary(folder)


def test_pairs_that_scores_cannot_say_are_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "tokenizer.json"
    table = json.loads(path.read_text())
    merges = table["model"]["merges"]
    # A token's pair once more, with other tokens' pairs between.
    merges.append(next(pair for pair in merges if "".join(pair).isalpha()))
    path.write_text(json.dumps(table))
    with pytest.raises(ltx2.ModelError, match="do not stand together"):
        convert(folder, tmp_path / "a.gguf")


def test_a_converted_encoder_can_be_converted_again(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = convert(folder, tmp_path / "gemma.gguf", "q4_0")
    again = convert(first, tmp_path / "again" / "gemma.gguf", "q4_0")
    assert again.read_bytes() == first.read_bytes()


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 128}, r"blk.0.attn_norm.weight has shape \[64\], not \[128\]"),
        ({"num_hidden_layers": 8}, "blk.7.attn_norm.weight"),
        ({"num_hidden_layers": 6}, "blk.6"),
        ({"num_hidden_layers": "7"}, "num_hidden_layers: is a string, not a number"),
        ({"rms_norm_eps": -1}, "rms_norm_eps: -1 is not in"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3"),
        ({"rope_scaling": {"rope_type": "yarn"}}, 'rope_type: "yarn" is not supported'),
        ({"rope_scaling": [1]}, "rope_scaling: is an array, not an object"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor: is missing"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping: is not supported"),
        ({"layer_types": ["full_attention", "sliding_attention"] * 3 + ["x"]}, '"x" is not supp'),
        ({"layer_types": ["sliding_attention"] * 2 + ["full_attention"] * 5}, "no repeated"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    changes: dict[str, Any], words: str, folder: Path, tmp_path: Path
) -> None:
    change(folder, "config.json", **changes)
    with pytest.raises(ltx2.ModelError, match=words):
        convert(folder, tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("config.json", "config.json"),
        ("model-00002-of-00002.safetensors", "model-00002-of-00002.safetensors.* is missing"),
    ],
)
def test_a_missing_file_is_named(name: str, words: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(ltx2.ModelError, match=words):
        convert(folder, tmp_path / "a.gguf")


def test_another_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="variant: a text encoder has none"):
        convert(folder, tmp_path / "a.gguf", variant="dev")
    for name in ("tokenizer.json", "tokenizer.model"):
        (folder / name).unlink()
    with pytest.raises(ltx2.ModelError, match=r"no tokenizer\.json or tokenizer\.model"):
        convert(folder, tmp_path / "a.gguf")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ltx2.ModelError, match='has the architecture "llama"'):
        convert(folder, tmp_path / "a.gguf")


@pytest.mark.parametrize("data", [b"", b"\x0a\xff\x01", b"\x0a\x03\x0a\x01", b"text", b"\xff" * 20])
def test_a_damaged_tokenizer_model_is_one_line_of_error(
    data: bytes, folder: Path, tmp_path: Path
) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(data)
    with pytest.raises(ltx2.ModelError) as caught:
        convert(folder, tmp_path / "a.gguf")
    assert "tokenizer.model" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": {"type": "Unigram"}}', "[" * 90000])
def test_a_damaged_tokenizer_json_is_one_line_of_error(
    text: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ltx2.ModelError) as caught:
        convert(folder, tmp_path / "a.gguf")
    assert "tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)
