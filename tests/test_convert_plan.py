"""ltx2.convert: how tensors are chosen and stored, and what is said of it before it is done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import full_shapes
import gguf
import make_tiny
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors_file import read_safetensors, write_safetensors
from test_convert import DIT, METADATA, key, normal, six_blocks, types, values

import ltx2
from ltx2.cli import cli
from ltx2.convert import convert, plan, verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_safetensors(tmp_path / "six.safetensors", six_blocks(), METADATA)


# ---- a plan


@pytest.fixture(scope="module")
def full(folder: Path) -> Path:
    """The official 46 GB, as a hole behind their header."""
    return full_shapes.write(folder / "full.safetensors", full_shapes.video() | full_shapes.audio())


def test_the_whole_model_is_planned_from_its_header(full: Path) -> None:
    planned = plan(full, "q4_k", variant="distilled", audio=False)
    assert len(planned["tensors"]) == 1758
    dropped = {row["part"]: row["tensors"] for row in planned["dropped"]}
    assert sum(dropped.values()) == 5947 - 1758
    parts = ("audio_projection", "audio_connector", "audio_dit", "audio_vae", "vocoder")
    assert [dropped[part] for part in parts] == [2, 129, 2729, 102, 1227]
    kept = sum(t["source_bytes"] for t in planned["tensors"])
    left = sum(row["bytes"] for row in planned["dropped"])
    assert kept + left == pytest.approx(46.14e9, rel=1e-3)
    assert planned["size"] == pytest.approx(10.6e9, rel=1e-2)
    assert len(plan(full, variant="dev")["tensors"]) == 5947


def test_types_are_picked_so_that_the_file_is_no_larger(full: Path) -> None:
    psnr = 0.0
    for size in (13 * 10**9, 17 * 10**9, 27 * 10**9):
        planned = plan(full, variant="dev", target_size=size)
        assert 0.9 * size < planned["size"] <= size
        picked = json.loads(planned["metadata"]["ltx2.quantisation"])
        assert picked["target_size"] == size
        assert picked["expected_psnr"] > psnr
        psnr = picked["expected_psnr"]
        assert set(picked["types"].values()) <= set(ltx2.capabilities()["types"])
    with pytest.raises(ltx2.InvalidArgumentError, match=r"target_size: .* take \d+ bytes at least"):
        plan(full, variant="dev", target_size=12 * 10**9)
    with pytest.raises(ltx2.InvalidArgumentError, match="give one of them"):
        plan(full, "q4_0", target_size=13 * 10**9)
    with pytest.raises(ltx2.InvalidArgumentError, match="target_size: 0 is"):
        plan(full, target_size=0)


@pytest.mark.parametrize("options", [{"type": "q5_1"}, {"audio": False}, {"target_size": 10**6}])
def test_a_file_is_as_large_as_planned(
    options: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    planned = plan(source, **options)
    made = convert(source, tmp_path / "a.gguf", **options)
    assert made.stat().st_size == planned["size"]
    assert types(made) == {t["name"]: t["type"].upper() for t in planned["tensors"]}


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    line = ["convert", str(source), "--dry-run", "--type", "Q4_0"]
    done = CliRunner().invoke(cli, line)
    assert done.exit_code == 0, done.output
    size = plan(source, "q4_0")["size"]
    assert f"size: {size}" in done.output
    assert "kept dit: " in done.output
    assert "kept audio_dit: 16 tensors, " in done.output
    assert "dropped other: 1 tensors, 8 parameters, 32 bytes" in done.output
    assert "type q4_0: " in done.output
    as_json = json.loads(CliRunner().invoke(cli, [*line, "--json"]).stdout)
    assert as_json["size"] == size
    assert list(tmp_path.iterdir()) == [source]
    assert CliRunner().invoke(cli, ["convert", str(source)]).exit_code == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [("9GB", 9 * 10**9), ("8.5 GiB", 9126805504), ("900m", 9 * 10**8), ("70000", 70000)],
)
def test_a_size_may_have_a_unit(
    text: str, number: int, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("ltx2.convert.plan", lambda *_, **options: seen.update(options) or PLAN)
    line = ["convert", str(source), "--dry-run", "--target-size"]
    assert CliRunner().invoke(cli, [*line, text]).exit_code == 0
    assert seen["target_size"] == number
    for wrong in ("9 apples", "9" * 400 + "TB"):
        assert CliRunner().invoke(cli, [*line, wrong]).exit_code == 2


PLAN: dict[str, Any] = {"tensors": [], "dropped": [], "size": 0}


# ---- other types by pattern


def test_a_pattern_overrides_the_rules(source: Path, tmp_path: Path) -> None:
    patterns = {
        "*.transformer_blocks.0.attn1.to_q.weight": "f32",
        "*.attn1.to_#.weight": "f16",  # none: to_q is no number
        "*.transformer_blocks.#.attn1.to_q.weight": "Q8_0",
        "*patchify_proj.*": "q4_0",
    }
    with pytest.raises(ltx2.InvalidArgumentError, match=r'"\*\.attn1\.to_#\.weight" is of no'):
        convert(source, tmp_path / "a.gguf", tensor_type=patterns)
    del patterns["*.attn1.to_#.weight"]
    got = types(convert(source, tmp_path / "a.gguf", "q4_0", tensor_type=patterns))
    usual = types(convert(source, tmp_path / "b.gguf", "q4_0"))
    block = DIT + "transformer_blocks."
    assert got[block + "0.attn1.to_q.weight"] == "F32"
    assert {got[f"{block}{i}.attn1.to_q.weight"] for i in range(1, 6)} == {"Q8_0"}
    assert got[DIT + "patchify_proj.weight"] == "Q4_0"
    assert got[DIT + "patchify_proj.bias"] == "F32"  # no matrix
    changed = {name for name in got if got[name] != usual[name]}
    assert changed == {f"{block}{i}.attn1.to_q.weight" for i in range(6)} | {
        DIT + "patchify_proj.weight",
        DIT + "audio_patchify_proj.weight",
    }


@pytest.mark.parametrize("pattern", ["*.bias", "nothing", "*attn1.to_q"])
def test_a_pattern_of_no_matrix_is_an_error(pattern: str, source: Path) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=r"tensor_type: .* is of no matrix"):
        plan(source, tensor_type={pattern: "f16"})


def test_patterns_are_checked(source: Path) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match='type: "q9" is not one of'):
        plan(source, tensor_type={"*": "q9"})
    line = ["convert", str(source), "--dry-run", "--tensor-type"]
    assert CliRunner().invoke(cli, [*line, "*"]).exit_code == 2
    assert CliRunner().invoke(cli, [*line, "*.to_q.weight=f32"]).exit_code == 0


def test_what_is_stored_otherwise_is_said(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan(source, "q4_k")
    said = "q4_k: stored as q5_1 instead, 7 matrices whose rows are not whole blocks"
    assert said in caplog.text
    caplog.clear()
    plan(source, "f16", variant="distilled")
    assert not caplog.records


# ---- sources


def test_the_sound_is_kept(tmp_path: Path) -> None:
    source = make_tiny.generate("twins", tmp_path) / "ltx-tiny-twins.safetensors"
    tensors, _ = read_safetensors(source)
    made = values(convert(source, tmp_path / "a.gguf", "f32"))
    assert made.keys() == tensors.keys()
    assert sum("audio" in name for name in made) > 20
    for name, got in made.items():
        assert got.tobytes() == tensors[name][1].tobytes(), name
    assert ltx2.describe(tmp_path / "a.gguf")["problem"] is None


def test_the_sound_is_kept_under_its_official_names(source: Path, tmp_path: Path) -> None:
    bare = {name.removeprefix(DIT): stored for name, stored in six_blocks().items()}
    path = write_safetensors(tmp_path / "bare.safetensors", bare, METADATA)
    wanted = types(convert(source, tmp_path / "a.gguf"))
    assert types(convert(path, tmp_path / "b.gguf")) == wanted
    assert set(six_blocks()) - set(wanted) == {"vae.per_channel_statistics.mean-of-stds"}


def test_several_files_become_one(source: Path, tmp_path: Path) -> None:
    tensors = six_blocks()
    parts = {"vae": "vae.", "audio": "audio_vae.", "vocoder": "vocoder.", "rest": ""}
    folder = tmp_path / "parts"
    folder.mkdir()
    paths = []
    for name, prefix in parts.items():
        own = {key: tensors.pop(key) for key in list(tensors) if key.startswith(prefix)}
        paths.append(write_safetensors(folder / f"{name}.safetensors", own, METADATA))
    for keep in (False, True):
        wanted = values(convert(source, tmp_path / "a.gguf", audio=keep))
        for sources in (paths, folder):
            made = values(convert(sources, tmp_path / "b.gguf", audio=keep))
            assert made.keys() == wanted.keys()
            assert all(made[name].tobytes() == wanted[name].tobytes() for name in made)


# ---- checksums


def test_a_file_holds_the_checksum_of_each_tensor(source: Path, tmp_path: Path) -> None:
    made = convert(source, tmp_path / "a.gguf", "q8_0")
    data = made.read_bytes()
    tensors = gguf.GGUFReader(made).tensors
    sums = [hashlib.sha256(np.ascontiguousarray(t.data).tobytes()).hexdigest() for t in tensors]
    assert key(made, "ltx2.tensor_sha256") == sums
    described = ltx2.describe(made)["tensor_list"]
    assert [t["sha256"] for t in described] == sums
    for t, sha in zip(described, sums, strict=True):
        own = data[t["offset"] : t["offset"] + t["bytes"]]
        assert hashlib.sha256(own).hexdigest() == sha


def test_a_changed_byte_is_found(source: Path, tmp_path: Path) -> None:
    made = convert(source, tmp_path / "a.gguf")
    seen: list[ltx2.Progress] = []
    verify(made, progress=seen.append)
    assert (seen[-1].stage, seen[-1].done) == ("verify", seen[-1].total)
    assert CliRunner().invoke(cli, ["info", "--verify", str(made)]).exit_code == 0
    tensor = ltx2.describe(made)["tensor_list"][7]
    with made.open("r+b") as file:
        file.seek(tensor["offset"] + tensor["bytes"] - 1)
        last = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ltx2.ModelError, match=f"{tensor['name']} is not what was written"):
        verify(made)
    with pytest.raises(ltx2.ModelError, match="states no checksums"):
        verify(source)


@pytest.mark.parametrize("sums", [[], ["x"], [1, 2], ["x"] * 2000, "text"])
def test_checksums_that_are_none_do_no_harm(sums: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    out = gguf.GGUFWriter(path, "ltxv")
    if sums == "text" or sums:
        out.add_key_value(
            "ltx2.tensor_sha256", sums,
            gguf.GGUFValueType.STRING if sums == "text" else gguf.GGUFValueType.ARRAY,
        )  # fmt: skip
    out.add_tensor("vae.per_channel_statistics.mean-of-means", normal(8))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    assert len(ltx2.describe(path)["tensor_list"]) == 1
    with pytest.raises(ltx2.ModelError, match=r"states no checksums|is not what was written"):
        verify(path)


# ---- info


def test_info_says_what_a_part_is(full: Path) -> None:
    about = ltx2.describe(full)
    parts = {part["id"]: part for part in about["parts"]}
    assert parts["dit"]["geometry"] == {
        "blocks": 48, "width": 4096, "heads": 32, "channels": 128
    }  # fmt: skip
    assert parts["dit"]["tensors"] == 1457
    assert parts["connector"]["geometry"] == {"blocks": 8, "width": 4096, "registers": 128}
    assert parts["vocoder"]["tensors"] == 1227
    assert sum(part["bytes"] for part in parts.values()) == about["bytes"]
    lines = CliRunner().invoke(cli, ["info", str(full)]).output
    assert "part dit: 1457 tensors, " in lines
    assert "license: none stated" in lines


def test_info_says_what_a_run_needs(tiny_model: list[Path]) -> None:
    line = ["info", *map(str, tiny_model)]
    about = json.loads(CliRunner().invoke(cli, [*line, "--json"]).stdout)
    assert len(about["files"]) == 3  # Gemma is two in a folder
    assert about["problem"] is None
    with ltx2.Session(tiny_model) as session:
        wanted = session.plan("a")
    assert about["run"]["memory"] == wanted["memory"]
    lines = CliRunner().invoke(cli, line).output.splitlines()
    assert lines[lines.index("run:") + 1].startswith("64x64, 9 frames, 4 steps")


def test_info_shows_the_licence(source: Path) -> None:
    assert ltx2.describe(source)["license"] == METADATA["license"]
    assert 'license: "L"' in CliRunner().invoke(cli, ["info", str(source)]).output


def test_a_licence_in_gguf_s_words_goes_along(
    source: Path, tiny: dict[str, Path], tmp_path: Path
) -> None:
    """From one GGUF to the next, of a text encoder too."""
    said = {"general.license": "other", "general.license.name": "of its own"}
    tensors, metadata = read_safetensors(source)
    model = write_safetensors(tmp_path / "a.safetensors", tensors, metadata | said)
    gemma = tmp_path / "gemma"
    shutil.copytree(tiny["base"].parent / "gemma", gemma)
    for file in gemma.glob("*.safetensors"):
        write_safetensors(file, read_safetensors(file)[0], said)
    for first in (model, gemma):
        made = convert(first, tmp_path / "b.gguf", "f16")
        again = plan(convert(made, tmp_path / "c.gguf", "q8_0"))["metadata"]
        assert {key: again.get(key) for key in said} == said
