"""scripts/publish_weights.py, against a hub on this machine; what it uploads can be pulled."""

from __future__ import annotations

import json
from pathlib import Path

import local_hub
import publish_weights
import pytest
from local_hub import Hub

import ltx2
from ltx2 import hub

REPOSITORY = "someone/tiny-GGUF"

# huggingface_hub's, of its HTTP library
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


def published(source: Path, work: Path, *more: str) -> None:
    licence = work / "licence.txt"
    licence.write_text("You may.")
    arguments = [str(source), REPOSITORY, f"--licence={licence}", f"--work={work}", *more]
    assert publish_weights.main(arguments) == 0


def test_what_is_published_carries_its_licence_and_can_be_pulled(
    hub_server: Hub,
    tiny: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HF_TOKEN", local_hub.TOKEN)
    published(tiny["distilled"], tmp_path)
    files = hub_server.repositories[REPOSITORY]
    names = [f"ltx-tiny-distilled-{kind}.gguf" for kind in ("q8_0", "q4_0")]
    assert set(files) == {*names, "README.md", "LICENSE"}
    assert files["LICENSE"] == b"You may."
    card = files["README.md"].decode()
    assert 'license_name: "ltx-2-community-license-agreement"' in card
    assert 'base_model: "Lightricks/LTX-2.3"' in card
    assert "are left out" not in card
    for name in names:
        assert files[name] == (tmp_path / name).read_bytes()
        assert local_hub.checksum(files[name]) in card

    table = json.loads(json.dumps(hub._table()))
    new = json.loads(capsys.readouterr().out)
    for key, rows in new.items():
        table[key].update(rows)
    table["sets"]["tiny"] = {"about": "tiny", "quants": {"q4_0": ["ltx-tiny-distilled-q4_0"]}}
    monkeypatch.setattr(hub, "_table", lambda: table)
    (path,) = hub.pull("tiny")
    assert path.read_bytes() == files[names[1]]
    parts = {part["id"] for part in ltx2.describe(path)["parts"]}
    assert parts == set(table["items"]["ltx-tiny-distilled-q4_0"]["parts"])


def test_a_trial_uploads_nothing_and_a_text_encoder_has_googles_terms(
    hub_server: Hub,
    tiny: dict[str, Path],
    tmp_path: Path,
) -> None:
    published(tiny["base"].parent / "gemma", tmp_path, "--dry-run", "--types", "q8_0")
    assert hub_server.asked == []
    card = (tmp_path / "README.md").read_text()
    assert "tensors that only pictures need are left out" in card
    assert 'license: "gemma"' in card
    assert "https://ai.google.dev/gemma/terms" in card
    assert (tmp_path / "gemma-q8_0.gguf").exists()


def test_weights_of_another_generation_get_no_card(
    hub_server: Hub,
    tiny: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(SystemExit, match=r"is not of LTX-2\.3, whose origin and licence"):
        published(tiny["v25"], tmp_path, "--types", "q8_0")
    assert hub_server.asked == []
    assert not (tmp_path / "README.md").exists()


def test_an_upload_that_the_hub_garbled_is_found_out(
    hub_server: Hub,
    tiny: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", local_hub.TOKEN)
    wrong = local_hub.says(X_Linked_Etag=f'"{"0" * 64}"')
    hub_server.faults["ltx-tiny-distilled-q4_0.gguf"].append(wrong)
    with pytest.raises(SystemExit, match="the hub has not what was uploaded"):
        published(tiny["distilled"], tmp_path, "--types", "q4_0")
