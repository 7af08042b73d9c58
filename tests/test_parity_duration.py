"""The duration head against diffusers', on a tiny one with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import make_tiny
import numpy as np
import pytest
import tiny_shapes
from parity import golden, run
from safetensors_file import read_safetensors, write_safetensors
from tolerance import NMSE, nmse

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

    from safetensors_file import Stored

KINDS = ("both", "video")  # whose rows it reads
ROWS = {"short": 32, "long": 300, "other": 32}


def head(sizes: dict[str, int] = tiny_shapes.DURATION) -> dict[str, Stored]:
    return {
        name: ("F32", make_tiny.tensor("duration", name, shape))
        for name, shape in tiny_shapes.duration_head(sizes).items()
    }


def written(path: Path, **changed: Any) -> Path:
    """The tiny head, some of its tensors others, or left out where they are None."""
    tensors = head()
    for name, values in changed.items():
        del tensors["duration_head." + name]
        if values is not None:
            tensors["duration_head." + name] = ("F32", np.asarray(values, np.float32))
    return write_safetensors(path, tensors)


def as_diffusers(tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Its names and its split of queries, keys and values."""
    out: dict[str, Stored] = {}
    for name, (kind, values) in tensors.items():
        own = name.removeprefix("duration_head.").replace("cross_attn.out_proj", "to_out")
        if ".in_proj_" not in own:
            out[own] = (kind, values)
            continue
        for part, third in zip("qkv", np.split(values, 3), strict=True):
            out[own.replace("cross_attn.in_proj_", f"to_{part}.")] = (kind, third)
    return out


def features(name: str, sizes: dict[str, int] = tiny_shapes.DURATION) -> Any:
    """As scripts/golden_duration.py has them."""
    shape = (ROWS[name], sizes["video"] + sizes["audio"])
    shared = make_tiny.normal("golden", f"duration.{name}.{shape[1]}.all", (1, shape[1]))
    return make_tiny.normal("golden", f"duration.{name}.{shape[1]}", shape) + 2 * shared


def told(model: Path, folder: Path, sizes: dict[str, int] = tiny_shapes.DURATION) -> Any:
    """Logarithms of seconds, of all features and both kinds."""
    out = []
    for name in ROWS:
        for kind in KINDS:
            context = features(name, sizes)[:, : None if kind == "both" else sizes["video"]]
            place = folder / f"{name}-{kind}"  # on the processor, as a session runs it
            have = run("duration", [model], place, context=context, device="CPU")
            out.append(have["log_seconds"])
    return np.concatenate(out)


def wanted(prefix: str = "") -> Any:
    want = golden("all-duration")
    return np.concatenate([want[f"{prefix}{name}.{kind}"] for name in ROWS for kind in KINDS])


@pytest.mark.parametrize("exact", ["1", "0"])
@pytest.mark.parametrize("names", ["official", "diffusers"])
def test_it_tells_what_diffusers_does(
    names: str, exact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As users run it too: nothing is rounded."""
    monkeypatch.setenv("LTX2_EXACT", exact)
    tensors = head() if names == "official" else as_diffusers(head())
    model = write_safetensors(tmp_path / "head.safetensors", tensors)
    error = nmse(told(model, tmp_path), wanted())
    print(error)
    assert error <= NMSE["duration", "F32"].limit


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_weights_of_fewer_bits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they lose is theirs: of the values they hold, as F32, it tells the same."""
    import gguf

    monkeypatch.setenv("LTX2_EXACT", "0")
    model = convert(
        written(tmp_path / "head.safetensors"), tmp_path / "head.gguf", "f16",
        tensor_type={"duration_head.*": kind.lower()},
    )  # fmt: skip
    held: dict[str, Stored] = {}
    for tensor in gguf.GGUFReader(model).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        held[tensor.name] = ("F32", values.reshape([int(n) for n in reversed(tensor.shape)]))
    twin = write_safetensors(tmp_path / "twin.safetensors", held)
    have = told(model, tmp_path / "a")
    arithmetic, error = nmse(have, told(twin, tmp_path / "b")), nmse(have, wanted())
    print(arithmetic, error)
    assert arithmetic <= NMSE["duration", "F32"].limit
    assert error <= NMSE["duration", kind].limit


def test_at_full_width(tmp_path: Path) -> None:
    sizes = tiny_shapes.FULL_DURATION
    model = write_safetensors(tmp_path / "head.safetensors", head(sizes))
    error = nmse(told(model, tmp_path, sizes), wanted("full."))
    print(error)
    assert error <= NMSE["duration.full", "F32"].limit


def test_frames_of_seconds(tmp_path: Path) -> None:
    want = golden("all-duration")
    inputs = {name: want[name] for name in ("seconds", "rates")}
    have = run("lasting", [], tmp_path, **inputs)["frames"]
    assert (have == want["frames"]).all()
    assert len(np.unique(have)) == 20


def test_it_is_told_from_its_tensors(tmp_path: Path) -> None:
    source = written(tmp_path / "head.safetensors")
    for model in (source, convert(source, tmp_path / "head.gguf", "q8_0")):
        about = ltx2.describe(model)
        assert about["problem"] is None
        (part,) = about["parts"]
        assert part["id"] == "duration_head"
        assert part["geometry"] == {"width": 32}
    kept = read_safetensors(source)[0].keys()
    assert {tensor["name"] for tensor in about["tensor_list"]} == kept
    assert {tensor["type"] for tensor in about["tensor_list"]} == {"f16", "f32"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mlp_hidden.weight": None}, r"tensor duration_head\.mlp_hidden\.weight .*is missing"),
        ({"mlp_hidden.weight": np.zeros((32, 33))}, r"mlp_hidden\.weight has shape"),
        ({"attention_pooler.cross_attn.in_proj_weight": np.zeros((64, 32))}, "in_proj_weight has"),
        ({"attention_pooler.query_tokens": np.zeros((1, 31))}, "query_tokens has shape"),
        ({"video_input_proj.weight": np.zeros(64)}, "not one of 2 sides"),
        ({"audio_modality_emb": np.zeros(16)}, "audio_modality_emb has shape"),
        ({"mlp_out.weight": np.zeros((2, 32))}, r"mlp_out\.weight has shape"),
    ],
)
def test_what_is_damaged_is_refused(changed: Any, words: str, tmp_path: Path) -> None:
    model = written(tmp_path / "x.safetensors", **changed)
    with pytest.raises(pytest.fail.Exception, match=words):
        run("duration", [model], tmp_path, context=features("short"))
