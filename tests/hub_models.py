"""What a hub holds in tests: the repositories of ltx2/weights.json, with files of a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

from local_hub import Hub, checksum
from safetensors_file import read_safetensors, write_safetensors

from ltx2 import hub
from ltx2.convert import convert

NAME = "ltx-2.3-distilled:q4_0"
GGUF = "unsloth/LTX-2.3-GGUF"
DIT = "distilled/ltx-2.3-22b-distilled-Q4_0.gguf"
VAE = "vae/ltx-2.3-22b-distilled_video_vae.safetensors"
GEMMA = "google/gemma-3-12b-it-qat-q4_0-unquantized"


def repositories(tiny: dict[str, Path], folder: Path) -> dict[str, dict[str, bytes]]:
    """The repositories of the table, with the files of a tiny model under their true names."""
    tensors, metadata = read_safetensors(tiny["base"])

    def part(file: str, *prefixes: str) -> Path:
        chosen = {name: t for name, t in tensors.items() if name.startswith(prefixes)}
        return write_safetensors(folder / file, chosen, metadata)

    dit = convert(part("dit.safetensors", "model."), folder / "dit.gguf", "q4_0")
    projection = part("projection.safetensors", "text_embedding")
    vae = part("vae.safetensors", "vae.")
    sound = part("audio_vae.safetensors", "audio_vae.", "vocoder.")
    gemma = tiny["base"].parent / "gemma"
    connectors = "text_encoders/ltx-2.3-22b-distilled_embeddings_connectors.safetensors"
    return {
        GGUF: {
            DIT: dit.read_bytes(),
            connectors: projection.read_bytes(),
            VAE: vae.read_bytes(),
            VAE.replace("video", "audio"): sound.read_bytes(),
        },
        "ggml-org/gemma-3-12b-it-qat-GGUF": {
            "gemma-3-12b-it-qat-Q4_0.gguf": convert(gemma, folder / "g.gguf", "q8_0").read_bytes()
        },
        GEMMA: sharded(gemma, folder),
        "Lightricks/LTX-2.3": {"ltx-2.3-22b-distilled.safetensors": tiny["base"].read_bytes()},
    }


def sharded(gemma: Path, folder: Path) -> dict[str, bytes]:
    """A Gemma folder in five shards."""
    tensors = {}
    for shard in gemma.glob("*.safetensors"):
        tensors.update(read_safetensors(shard)[0])
    files = {name: (gemma / name).read_bytes() for name in ("config.json", "tokenizer.json")}
    where = {}
    for i in range(5):
        name = f"model-{i + 1:05d}-of-00005.safetensors"
        chosen = dict(list(tensors.items())[i::5])
        where.update(dict.fromkeys(chosen, name))
        files[name] = write_safetensors(folder / name, chosen).read_bytes()
    files["model.safetensors.index.json"] = json.dumps({"weight_map": where}).encode()
    return files


def blob(server: Hub, repository: str, name: str) -> Path:
    return hub.storage(repository) / "blobs" / checksum(server.repositories[repository][name])


def partial(server: Hub, repository: str, name: str) -> Path:
    path = blob(server, repository, name)
    return path.with_name(path.name + ".incomplete")


def begun(server: Hub, size: int) -> Path:
    """A download of the transformer that was interrupted."""
    path = partial(server, GGUF, DIT)
    path.parent.mkdir(parents=True)
    path.write_bytes(server.repositories[GGUF][DIT][:size])
    return path


def is_right(server: Hub) -> bool:
    return blob(server, GGUF, DIT).read_bytes() == server.repositories[GGUF][DIT]
