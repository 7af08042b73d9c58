"""Models by name: the table, what a name stands for, and what is said before a download."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import local_hub
import numpy as np
import pytest
from click.testing import CliRunner
from hub_models import DIT, GEMMA, GGUF, NAME
from local_hub import Hub

import ltx2
from ltx2 import cli, hub


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.cli, arguments, standalone_mode=False)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


# ---- the table


def test_a_set_has_every_part_once_and_only_files_that_are_listed_once() -> None:
    rows = ltx2.capabilities()["parts"]
    needed = {p["id"] for p in rows if p["need"] in ("always", "optional")}
    needed -= {"upsampler", "temporal_upsampler", "duration_head"}
    whole = {"ltx-2.5": needed | {"duration_head"}, "gemma-3": {"text_encoder"}}
    table = json.loads(Path(hub.__file__).with_name("weights.json").read_text())
    for known in hub.model_sets():
        parts = [part for item in known.items for part in item.parts]
        assert len(parts) == len(set(parts)), known.name
        assert set(parts) == whole.get(known.name[:7], needed)
        assert known.gb > 1
    files = [(i["repository"], file) for i in table["items"].values() for file in i["files"]]
    assert len(files) == len(set(files))
    used = {i for s in table["sets"].values() for items in s["quants"].values() for i in items}
    assert used == set(table["items"])
    assert {i["repository"] for i in table["items"].values()} == set(table["repositories"])
    assert {r["licence"] for r in table["repositories"].values()} == set(table["licences"])


def test_a_bare_name_is_the_first_of_its_kind() -> None:
    assert hub.model_set("ltx-2.3-distilled") == hub.model_set("ltx-2.3-distilled:Q4_0")


@pytest.mark.parametrize(
    ("name", "words"),
    [("ltx-3", "ltx-3: no such name; there are ltx-2.3-distilled, "),
     ("ltx-2.3-dev:q2", "ltx-2.3-dev:q2: ltx-2.3-dev comes as q4_0, q4_k_m, ")],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_the_known_ones(name: str, words: str) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        hub.pull(name)


# ---- a name is a model


def test_what_is_pulled_is_a_model_by_its_name(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ltx2.ModelError, match=f"5 of its 5 files .*`ltx2 pull {NAME}`"):
        ltx2.Session(NAME)
    code, out, err = run("pull", "ltx-2.3-distilled")
    assert code == 0
    paths = out.splitlines()
    assert all(Path(path).is_file() for path in paths)
    assert len(paths) == 5
    assert "licence: LTX-2 Community License" in err
    assert "https://ai.google.dev/gemma/terms" in err
    assert "free" in err

    options = {"width": 64, "height": 64, "frames": 9, "steps": 1, "seed": 1}
    arguments = [f"--{key}={value}" for key, value in options.items()]
    clip = str(tmp_path / "clip.npy")
    run("t2v", "a dot", "-o", clip, "--model", NAME, *arguments)
    monkeypatch.setenv("LTX2_MODEL", NAME)  # whose colon is also PATH's
    server.asked.clear()
    for session in (
        ltx2.Session(),
        ltx2.Session(paths),
        ltx2.Session.from_pretrained("ltx-2.3-distilled"),
    ):
        with session:
            assert (session.t2v("a dot", **options).frames == np.load(clip)).all()  # type: ignore[arg-type]
    assert server.asked == []
    code, out, _ = run("info", NAME, "--json")
    assert list(json.loads(out)["files"]) == paths


def test_a_path_needs_no_hub(command: None) -> None:
    code = "import sys, ltx2; ltx2.Session().close(); print({*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'ltx2.session'" in done.stdout
    assert "'ltx2.hub'" not in done.stdout
    assert "'huggingface_hub'" not in done.stdout


def test_from_pretrained_downloads(server: Hub) -> None:
    stages = set()
    with ltx2.Session.from_pretrained(NAME, progress=lambda p: stages.add(p.stage)) as session:
        assert "ltx-2.3-22b-distilled-Q4_0.gguf" in session.model
    assert "download" in stages


def test_a_folder_of_shards_is_one_item(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.gated.add(GEMMA)
    monkeypatch.setenv("HF_TOKEN", local_hub.TOKEN)
    checkpoint, gemma = hub.pull("ltx-2.3-distilled:bf16")
    assert (gemma / "model-00005-of-00005.safetensors").is_file()
    ltx2.Session("ltx-2.3-distilled:bf16").close()
    assert checkpoint.name == "ltx-2.3-22b-distilled.safetensors"


def test_a_path_is_not_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_bytes(b"not a model")
    with pytest.raises(ltx2.ModelError, match="not a"):
        ltx2.Session(NAME)


def test_names_stand_in_a_list_as_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathsep", ":")
    monkeypatch.chdir(tmp_path)
    assert hub.split("ltx-2.3-dev:fp8:b:ltx-2.3-dev:gemma-3-12b:q4_0:q4_0") == [
        "ltx-2.3-dev:fp8", "b", "ltx-2.3-dev", "gemma-3-12b:q4_0", "q4_0",
    ]  # fmt: skip
    Path("fp8").touch()
    assert hub.split("ltx-2.3-dev:fp8") == ["ltx-2.3-dev", "fp8"]


def test_the_list_says_what_is_here(server: Hub) -> None:
    _, out, _ = run("list")
    row = next(line for line in out.splitlines() if line.startswith(NAME))
    assert row.split()[1:3] == ["24.0", "-"]
    hub.pull(NAME)
    _, out, _ = run("list")
    rows = dict(line.split()[0::2][:2] for line in out.splitlines())
    assert (rows[NAME], rows["gemma-3-12b:q4_0"], rows["ltx-2.3-dev:fp8"]) == ("yes", "yes", "part")
    _, out, _ = run("list", "--json")
    listed = {row["name"]: row for row in json.loads(out)}
    assert listed[NAME]["here"] is True
    assert [Path(i["path"]) for i in listed[NAME]["items"]] == hub.model_set(NAME).paths()
    assert listed["ltx-2.3-dev:bf16"]["items"][0]["path"] is None


# ---- before it starts


def test_it_asks_where_someone_can_answer(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import ltx2.commands.weights as command

    monkeypatch.setattr(command, "can_answer", lambda: True)
    answers = CliRunner()
    done = answers.invoke(cli.cli, ["pull", NAME], input="n\n")
    assert done.exit_code == 1
    assert "under these licences?" in done.stderr
    assert server.sent() == []
    assert answers.invoke(cli.cli, ["pull", NAME], input="y\n").exit_code == 0
    done = answers.invoke(cli.cli, ["pull", NAME, "--json"])  # nothing left to ask for
    assert json.loads(done.stdout)["name"] == NAME


def test_a_disk_that_cannot_hold_it_is_refused_with_both_figures(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx2.writer.free_space", lambda _: 1_000_000)
    with pytest.raises(OSError, match=r"needs \d+\.\d MB, 1\.0 MB are free") as caught:
        hub.pull(NAME)
    assert caught.value.errno == errno.ENOSPC
    assert server.sent() == []


@pytest.mark.parametrize("token", [None, "hf_of_someone_else"])
def test_a_gated_repository_is_refused_with_its_page(
    server: Hub, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gated.add(GEMMA)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    page = f"{server.endpoint}/{GEMMA}"
    with pytest.raises(ltx2.ModelError, match=f"is gated; accept its licence at {page} .*HF_TOKEN"):
        hub.pull("ltx-2.3-distilled:bf16")
    assert server.sent() == []  # not 46 GB first


@pytest.mark.parametrize(
    ("repository", "name", "words"),
    [(GGUF, DIT, "the hub refuses it .404."), (GGUF, None, "no such repository, or it is private")],
)
def test_what_is_not_on_the_hub_is_named(
    server: Hub, repository: str, name: str | None, words: str
) -> None:
    if name:
        del server.repositories[repository][name]
    else:
        del server.repositories[repository]
    with pytest.raises(ltx2.ModelError, match=f"{DIT}: .*{words}"):
        hub.pull(NAME)


def test_offline_takes_what_is_there(
    server: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from huggingface_hub import constants

    hub.pull("gemma-3-12b:q4_0")
    server.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.pull("gemma-3-12b:q4_0")
    assert "HF_HUB_OFFLINE is set" in caplog.text
    with pytest.raises(ltx2.ModelError, match="4 of its 5 files are not downloaded"):
        hub.pull(NAME)
    assert server.asked == []
