#!/usr/bin/env python3
"""Converts a model to Q8_0 and Q4_0 and uploads both to the Hugging Face hub, with their licence.

    scripts/publish_weights.py ltx-2.3-22b-distilled.safetensors OWNER/LTX-2.3-distilled-GGUF \
        --licence LICENSE

The repository gets the files, the licence's text as LICENSE, and a model card that states the
licence, where the weights come from and how they were changed: both licences ask for that. Nothing
is uploaded with --dry-run. What is converted already is not converted again, and what the hub has
is not uploaded again, so an interrupted run is run once more. In the end the hub's checksums are
compared with the files', and the rows for ltx2/weights.json are printed.

It needs a token that may write: `hf auth login`, or HF_TOKEN.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

import ltx2
from ltx2 import writer
from ltx2.convert import convert

CARD = """\
---
{front}
---

# {title}

`{source}` of [{base}](https://huggingface.co/{base}), quantised by ltx2 {version}.

| file | GB | SHA-256 |
|---|---:|---|
{files}

**Changed.** These are modified files: their large matrices are stored with 8 or 4 bits a
weight{changed}. Nothing was trained.

**Licence.** {licence} Its text is in [LICENSE](LICENSE), and it goes with every copy.

`ltx2 info {first}` prints what a file holds; `--model` takes it.
"""


@dataclass(frozen=True)
class Kind:
    """What the card says of a model."""

    base: str
    front: dict[str, Any]
    changed: str
    licence: str
    key: str  # in ltx2/weights.json


GENERATION = "LTX-2.3"  # and what it shares with others
LTX = Kind(
    "Lightricks/LTX-2.3",
    {
        "license": "other",
        "license_name": "ltx-2-community-license-agreement",
        "license_link": "LICENSE",
        "pipeline_tag": "text-to-video",
    },
    "",
    "The weights are Lightricks' and under the LTX-2 Community License Agreement.",
    "ltx-2",
)
GEMMA = Kind(
    "google/gemma-3-12b-it-qat-q4_0-unquantized",
    {"license": "gemma"},
    ", and the tensors that only pictures need are left out",
    "Gemma is provided under and subject to the Gemma Terms of Use found at "
    "https://ai.google.dev/gemma/terms, whose use restrictions apply.",
    "gemma",
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="a .safetensors file, or a Gemma 3 folder")
    parser.add_argument("repository", help="OWNER/NAME on the hub; made if it is not there")
    parser.add_argument("--licence", type=Path, required=True, help="the licence's text")
    parser.add_argument("--types", nargs="+", default=["q8_0", "q4_0"])
    parser.add_argument("--work", type=Path, default=Path("publish"), help="where files are made")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--dry-run", action="store_true", help="make the files, upload nothing")
    asked = parser.parse_args(arguments)
    asked.work.mkdir(parents=True, exist_ok=True)
    files = [converted(asked.source, asked.work, kind) for kind in asked.types]
    held = [part for file in files for part in ltx2.describe(file)["parts"]]
    if not all(GENERATION in part["generations"] for part in held):
        sys.exit(f"{asked.source}: is not of {GENERATION}, whose origin and licence a card states")
    parts = sorted({part["id"] for part in held})
    kind = GEMMA if parts == ["text_encoder"] else LTX
    sums = {file: sha256(file) for file in files}
    card = asked.work / "README.md"
    with writer.new_file(card) as new:
        new.write_text(card_text(kind, asked.source, sums), encoding="utf-8")
    if not asked.dry_run:
        upload(asked.repository, {"README.md": card, "LICENSE": asked.licence}, sums, asked.private)
    print(json.dumps(rows(asked.repository, kind, parts, files), indent=2))
    return 0


def converted(source: Path, work: Path, kind: str) -> Path:
    """A file of that type, in the work folder; it is only ever there complete."""
    target = work / f"{source.stem}-{kind}.gguf"
    if not target.exists():
        with tqdm(desc=target.name, unit="B", unit_scale=True) as bar:

            def show(progress: ltx2.Progress) -> None:
                bar.total = progress.total
                bar.update(progress.done - bar.n)

            convert(source, target, kind, progress=show)
    return target


def sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while data := stream.read(1 << 22):
            digest.update(data)
    return digest.hexdigest()


def card_text(kind: Kind, source: Path, sums: dict[Path, str]) -> str:
    about = {
        **kind.front,
        "base_model": kind.base,
        "base_model_relation": "quantized",
        "tags": ["gguf", "ltx2"],
    }
    lines = [f"| `{f.name}` | {f.stat().st_size / 1e9:.1f} | `{s}` |" for f, s in sums.items()]
    return CARD.format(
        front="\n".join(f"{key}: {json.dumps(value)}" for key, value in about.items()),
        title=f"{source.stem}, GGUF",
        source=source.name,
        base=kind.base,
        version=ltx2.__version__,
        files="\n".join(lines),
        changed=kind.changed,
        licence=kind.licence,
        first=next(iter(sums)).name,
    )


def upload(repository: str, others: dict[str, Path], sums: dict[Path, str], private: bool) -> None:
    """In one commit; then what the hub has is compared with what was made."""
    from huggingface_hub import CommitOperationAdd, HfApi, get_hf_file_metadata, hf_hub_url

    api = HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    sent = {**{file.name: file for file in sums}, **others}
    operations = [CommitOperationAdd(name, path) for name, path in sent.items()]
    done = api.create_commit(repository, operations, commit_message=f"ltx2 {ltx2.__version__}")
    for file, wanted in sums.items():
        there = get_hf_file_metadata(hf_hub_url(repository, file.name, revision=done.oid))
        if (there.etag, there.size) != (wanted, file.stat().st_size):
            sys.exit(f"{repository}/{file.name}: the hub has not what was uploaded: {there.etag}")


def rows(repository: str, kind: Kind, parts: list[str], files: list[Path]) -> dict[str, Any]:
    """What ltx2/weights.json says of them."""
    items = {
        file.stem: {
            "repository": repository,
            "parts": parts,
            "gb": round(file.stat().st_size / 1e9, 1),
            "files": [file.name],
        }
        for file in files
    }
    return {
        "repositories": {repository: {"revision": "main", "licence": kind.key}},
        "items": items,
    }


if __name__ == "__main__":
    sys.exit(main())
