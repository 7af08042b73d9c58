"""The tiny checkpoints are the same bytes everywhere, and the golden files say what made them."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "scripts"))

import make_tiny  # noqa: E402
from tolerance import nmse, psnr  # noqa: E402

# Of every byte of the folder, file names included. A change here makes every golden file wrong.
DIGESTS = {
    "base": "64f327e66609659a69f583c52415c4268bc3d721002ef1564b862884ac9b3d9b",
    "odd": "70ae2a4aaa5c5470f0bef4e3760efc5a8096ec16bf081e0ed175c97fe289ac46",
    "plain": "4513b91816632688ef8f00aace5c9408b3678cc71b9bf349eed4461e6d4fac5b",
    "distilled": "7e1bf33e13c389cb23f992d089276ebd0403f73c433b9daa2eae6562bc341ba7",
    "heads": "76ead7f0355f13f370521893996e8729a4cce9067f0af33fd29e4d419a49c191",
    "deep": "12d5719cd779bab1de6b4bdf78765911b02358849318dda30f6135caf843bb98",
    "bf16": "4808e73da9f1358c2d71e561f552f6975c9d81d07f59d1176f17fcc6fa7acb53",
    "wide": "d856a806fcfb0b7892d2b17c043b906981a3bbda17dcf0e155eed470efda639d",
    "v25": "f84d68ec94917f189e7e8ff75d67ded5068eb9a64865f3b1bc654dd235e6654c",
    "v20": "af16e460b6d606fba5d10a67adeede4ad6af21cd82ea1de8d588ac73c9afcf2a",
}


def digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def header(file: Path) -> dict[str, Any]:
    with file.open("rb") as f:
        (size,) = struct.unpack("<Q", f.read(8))
        text: dict[str, Any] = json.loads(f.read(size))
    return text


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_a_geometry_is_the_same_bytes_everywhere(name: str, tmp_path: Path) -> None:
    assert digest(make_tiny.generate(name, tmp_path)) == DIGESTS[name]


def test_base_has_the_official_tensors_and_some_audio(tmp_path: Path) -> None:
    make_tiny.generate("base", tmp_path)
    names = set(header(tmp_path / "ltx-tiny-base.safetensors")) - {"__metadata__"}
    audio = {n for n in names if any(a in n for a in ("audio", "av_ca_", "a2v", "vocoder"))}
    assert len(audio) > 20
    video = [n for n in names - audio if n.startswith("model.diffusion_model.")]
    # Of the 22B file: 17 tensors around the blocks, 30 a block; 1 and 16 in the connector.
    assert len(video) == (17 + 2 * 30) + (1 + 2 * 16)
    assert sum(n.startswith("vae.encoder.") for n in names) == 2 * (2 + 2 * 7 + 4)
    assert "vae.decoder.up_blocks.0.res_blocks.0.conv2.conv.bias" in names
    assert "text_embedding_projection.video_aggregate_embed.bias" in names


def test_the_header_states_the_config_and_the_version(tmp_path: Path) -> None:
    make_tiny.generate("odd", tmp_path)
    metadata = header(tmp_path / "ltx-tiny-odd.safetensors")["__metadata__"]
    assert metadata["model_version"].startswith("2.3")
    config = json.loads(metadata["config"])
    assert "connector_text_length" not in config["transformer"]  # absent means 1024
    assert config["transformer"]["num_attention_heads"] == 6


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.npz")), ids=lambda f: f.stem)
def test_a_golden_file_says_what_made_it(file: Path) -> None:
    notes = json.loads(file.with_suffix(".json").read_text())
    assert {"transformers", "torch", "numpy"} <= set(notes["versions"])
    assert notes["command"].startswith("python scripts/")
    with np.load(file) as arrays:
        found = {k: [str(arrays[k].dtype), *arrays[k].shape] for k in arrays.files}
    assert found == notes["arrays"]
    assert {v[0] for v in found.values()} <= {"float32", "int32", "uint8"}


def test_the_golden_files_stay_small() -> None:
    assert sum(f.stat().st_size for f in GOLDEN.iterdir()) < 14e6


def test_nmse_and_psnr_measure_what_they_say() -> None:
    b = np.array([3.0, 4.0])
    assert nmse(b * 1.1, b) == pytest.approx(0.01)
    assert nmse(np.array([3.0, np.nan]), b) == float("inf")
    with pytest.raises(ValueError, match="shapes differ"):
        nmse(b, b[:1])
    black, grey = np.zeros((2, 2), np.uint8), np.full((2, 2), 51, np.uint8)
    assert psnr(grey, black) == pytest.approx(20 * np.log10(5))
    assert psnr(grey, grey) == float("inf")
