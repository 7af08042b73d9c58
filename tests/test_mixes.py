"""What does not make a model is refused when it opens, in a sentence that says what to get."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import make_twins
import numpy as np
import pytest
from make_twins import CONNECTOR, DIT, plain, put_gguf, put_safetensors

import ltx2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import gguf
    from make_tiny import Array

CHECKPOINT = (
    "an LTX-2 checkpoint: the official .safetensors, or the .gguf `ltx2 convert` makes of it"
)
PROJECTION = f"{CHECKPOINT}; LTX-2.5 has it in its text file, gemma4-12b-with-proj-…"
GEMMA = "Gemma 3 12B, for LTX-2.5 its own Gemma 4: a .gguf, or a Hugging Face folder"


@dataclass
class Mix:
    """A model that works, and a folder for what does not."""

    twin: make_twins.Model
    official: Path
    gemma: Path
    folder: Path

    def put(self, name: str, tensors: make_twins.Tensors, stated: bool = True) -> Path:
        return put_safetensors(self.folder / name, tensors, self.twin.stated if stated else None)

    def parts(self, **changed: make_twins.Tensors | None) -> list[Path]:
        """Each part in a file of its own, some of them others, or left out; then Gemma."""
        tensors = {
            "dit": self.twin.part(DIT, without=DIT + "video_emb"),
            "connector": self.twin.part(CONNECTOR),
            "projection": self.twin.part("text_emb"),
            "vae": self.twin.part("vae."),
            **changed,
        }
        files = [self.put(f"{n}.safetensors", t, n not in changed) for n, t in tensors.items() if t]
        return [*files, self.gemma]

    def named(self, part: str, name: str, prefix: str, without: str = "") -> Path:
        """A part as GGUF, whose metadata has a name."""

        def keys(out: gguf.GGUFWriter) -> None:
            out.add_name(name)
            for key, value in self.twin.stated.items():
                out.add_string(key, value)

        tensors = self.twin.part(prefix, without=without)
        return put_gguf(
            self.twin, self.folder / f"{part}.gguf", "ltxv", tensors, plain("F16"), keys
        )


def zeros(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def dev_vae(m: Mix) -> list[Path]:
    prefixes = {"dit": DIT, "vae": "vae."}
    names = {"dit": "LTX-2.3 22B distilled", "vae": "ltx-2.3-22b-dev_video_vae"}
    files = [m.named(part, names[part], prefix) for part, prefix in prefixes.items()]
    return [*files, m.put("text.safetensors", m.twin.part("text_emb")), m.gemma]


def dev_connector(m: Mix) -> list[Path]:
    files = [
        m.named("dit", "distilled", DIT, DIT + "video_emb"),
        m.named("connector", "dev connectors", CONNECTOR),
    ]
    rest = m.twin.part("text_emb", "vae.")
    return [*files, m.put("rest.safetensors", rest), m.gemma]


def old_dit(m: Mix) -> list[Path]:
    extra = {DIT + "caption_projection.linear_1.weight": zeros(256, 256)}
    return m.parts(dit=m.twin.part(DIT, without=DIT + "video_emb") | extra)


def new_dit(m: Mix) -> list[Path]:
    extra = {DIT + "keyframes_abs_pos_embedding": zeros(1, 256)}
    return m.parts(dit=m.twin.part(DIT, without=DIT + "video_emb") | extra)


def old_connector(m: Mix) -> list[Path]:
    block = CONNECTOR + "transformer_1d_blocks.0.attn1."
    tensors = {CONNECTOR + "learnable_registers": zeros(128, 3840)}
    tensors |= {block + name: zeros(3840) for name in ("q_norm.weight", "k_norm.weight")}
    return m.parts(connector=tensors)


def old_projection(m: Mix) -> list[Path]:
    return m.parts(
        projection={"text_embedding_projection.aggregate_embed.weight": zeros(3840, 768)}
    )


def old_vae(m: Mix) -> list[Path]:
    return m.parts(
        vae=m.twin.part("vae.") | {"vae.decoder.up_blocks.3.conv.conv.bias": zeros(2048)}
    )


def new_vae(m: Mix) -> list[Path]:
    return m.parts(vae=m.twin.part("vae.") | {"vae.decoder.conv_in_x_t.weight": zeros(4)})


def new_version(m: Mix) -> list[Path]:
    stated = {**m.twin.stated, "model_version": "2.6.0"}
    return [put_safetensors(m.folder / "x.safetensors", m.twin.checkpoint, stated), m.gemma]


def gemma_of(m: Mix, **changed: object) -> Path:
    folder = make_twins.hugging_face(m.twin, m.folder / "gemma", "language_model.model.")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changed}))
    return folder


def other_size(m: Mix) -> list[Path]:
    layers = {n.replace("layers.1.", "layers.2."): v for n, v in m.twin.gemma.items()}
    tensors = make_twins.stripped(m.twin.gemma | layers, "", "language_model.model.")
    text = {"model_type": "gemma3_text", **make_twins.GEMMA, "num_hidden_layers": 3}
    folder = gemma_of(m, text_config=text)
    put_safetensors(folder / "model.safetensors", tensors)
    return [m.official, folder]


def gemma_2(m: Mix) -> list[Path]:
    folder = gemma_of(m, model_type="gemma2")
    names = {n: v for n, v in m.twin.gemma.items() if "q_norm" not in n and "k_norm" not in n}
    put_safetensors(folder / "model.safetensors", make_twins.stripped(names, "", "model."))
    return [m.official, folder]


def gemma_4(m: Mix) -> list[Path]:
    folder = gemma_of(m, model_type="gemma4")
    tensors = m.twin.gemma | {"layers.0.layer_scalar": zeros(1)}
    put_safetensors(folder / "model.safetensors", make_twins.stripped(tensors, "", "model."))
    return [m.official, folder]


def without_tokenizer(m: Mix) -> list[Path]:
    folder = gemma_of(m)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    return [m.official, folder]


def mmproj(m: Mix) -> list[Path]:
    return [m.official, make_twins.mmproj(m.twin, m.folder / "mmproj-model-f16-12B.gguf")]


def upsampler(m: Mix) -> list[Path]:
    tensors = {
        "initial_conv.bias": zeros(8),
        "res_blocks.0.conv1.bias": zeros(8),
        "post_upsample_res_blocks.0.conv1.bias": zeros(8),
        "final_conv.bias": zeros(4),
    }
    return [m.official, m.put("x2.safetensors", tensors, stated=False), m.gemma]


def lora(m: Mix) -> list[Path]:
    at = "diffusion_model.transformer_blocks.0.attn1.to_q.lora_"
    tensors = {at + "A.weight": zeros(4, 256), at + "B.weight": zeros(256, 4)}
    return [m.put("lora.safetensors", tensors, stated=False), m.gemma]


def diffusers(m: Mix) -> list[Path]:
    block = "transformer_blocks.0."
    transformer = {
        "proj_in.weight": zeros(256, 128),
        block + "attn1.norm_q.weight": zeros(256),
        block + "scale_shift_table": zeros(9, 256),
    }
    m.put("transformer/diffusion_pytorch_model.safetensors", transformer, stated=False)
    vae = {"latents_mean": zeros(128), "latents_std": zeros(128)}
    m.put("vae/diffusion_pytorch_model.safetensors", vae, stated=False)
    (m.folder / "model_index.json").write_text('{"_class_name": "LTX2Pipeline"}')
    make_twins.hugging_face(m.twin, m.folder / "text_encoder", "model.language_model.", 2)
    return [m.folder]


_DIFFUSERS = "has the tensor names of diffusers, which are not read; give the official files"


@dataclass
class Case:
    """What is given, and the sentence: FOLDER is the mix's, FILES are those that were given."""

    make: Callable[[Mix], list[Path]]
    sentence: str


CASES: dict[str, Case] = {
    "a dev VAE": Case(
        dev_vae,
        "FOLDER/vae.gguf: is of the dev model, and FOLDER/dit.gguf of the distilled one; give the "
        "video VAE of the same",
    ),
    "a dev connector": Case(
        dev_connector,
        "FOLDER/connector.gguf: is of the dev model, and FOLDER/dit.gguf of the distilled one; "
        "give the text connector of the same",
    ),
    "2.0: transformer": Case(
        old_dit,
        "FOLDER/projection.safetensors: its text projection for the sound is of LTX-2.3, and the "
        "diffusion transformer of FOLDER/dit.safetensors of LTX-2.0; give them of one",
    ),
    "2.5: transformer": Case(
        new_dit,
        "FOLDER/projection.safetensors: its text projection for the sound is of LTX-2.3, and the "
        "diffusion transformer of FOLDER/dit.safetensors of LTX-2.5; give them of one",
    ),
    "2.0: connector": Case(
        old_connector,
        "FOLDER/connector.safetensors: its text connector is of LTX-2.0, and the diffusion "
        "transformer of FOLDER/dit.safetensors of LTX-2.3; give them of one",
    ),
    "2.0: projection": Case(
        old_projection,
        "FOLDER/projection.safetensors: its text projection is of LTX-2.0, and the diffusion "
        "transformer of FOLDER/dit.safetensors of LTX-2.3; give them of one",
    ),
    "2.0: VAE": Case(
        old_vae,
        "FOLDER/vae.safetensors: its video VAE has other sizes than that of LTX-2.0, and it states "
        f"no model_version; give {CHECKPOINT}",
    ),
    "2.5: VAE": Case(
        new_vae,
        "FOLDER/vae.safetensors: its video VAE has other sizes than that of LTX-2.0, LTX-2.3 or "
        f"LTX-2.5, and it states no model_version; give {CHECKPOINT}",
    ),
    "2.6": Case(
        new_version,
        'FOLDER/x.safetensors: states model_version "2.6.0"; LTX-2.0, LTX-2.3 or LTX-2.5 is '
        "supported",
    ),
    "Gemma of another size": Case(
        other_size,
        "FOLDER/gemma/model.safetensors: has 3 layers of 256, and OFFICIAL wants another text "
        "encoder; give Gemma 3 12B, 48 layers of 3840",
    ),
    "Gemma 2": Case(
        gemma_2,
        f"model: no text encoder in OFFICIAL; give {GEMMA}; skipped: "
        "FOLDER/gemma/model.safetensors (is Gemma 2 (no blk.#.attn_q_norm.weight), which is not "
        f"supported; give {GEMMA})",
    ),
    "Gemma 4": Case(
        gemma_4,
        "FOLDER/gemma/model.safetensors: its text encoder is of LTX-2.5, and the diffusion "
        "transformer of OFFICIAL of LTX-2.3; give them of one",
    ),
    "Gemma without its tokenizer": Case(
        without_tokenizer,
        "FOLDER/gemma/model.safetensors: there is no tokenizer.json or tokenizer.model next to "
        "it; get it from where the weights are from",
    ),
    "an mmproj alone": Case(
        mmproj,
        f"model: no text encoder in OFFICIAL; give {GEMMA}; skipped: "
        "FOLDER/mmproj-model-f16-12B.gguf (holds nothing that is used (vision tower of the text "
        "encoder))",
    ),
    "no transformer": Case(
        lambda m: m.parts(dit=None),
        f"model: no diffusion transformer in FILES; give {CHECKPOINT}",
    ),
    "no connector": Case(
        lambda m: m.parts(connector=None),
        f"model: no text connector in FILES; give {CHECKPOINT}",
    ),
    "no projection": Case(
        lambda m: m.parts(projection=None),
        f"model: no text projection in FILES; give {PROJECTION}",
    ),
    "no VAE": Case(lambda m: m.parts(vae=None), f"model: no video VAE in FILES; give {CHECKPOINT}"),
    "no text encoder": Case(
        lambda m: [m.official],
        f"model: no text encoder in OFFICIAL; give {GEMMA}",
    ),
    "the same twice": Case(
        lambda m: [m.official, m.put("copy.safetensors", m.twin.part("vae.")), m.gemma],
        "FOLDER/copy.safetensors: holds a video VAE, and so does OFFICIAL; give one of them",
    ),
    "half an upsampler": Case(
        upsampler,
        "FOLDER/x2.safetensors: tensor initial_norm.weight of the latent upsampler is missing",
    ),
    "a LoRA": Case(
        lora,
        "FOLDER/lora.safetensors: is an adapter (LoRA) and no model; give it beside one, as --lora",
    ),
    "a Diffusers folder": Case(
        diffusers,
        "model: no text projection, text connector, diffusion transformer, video VAE in FILES; "
        f"give {PROJECTION}; skipped: FOLDER/transformer/diffusion_pytorch_model.safetensors "
        f"({_DIFFUSERS}), FOLDER/vae/diffusion_pytorch_model.safetensors ({_DIFFUSERS})",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_mix_is_refused_in_a_sentence(
    name: str, twin: make_twins.Model, twins: dict[str, list[Path]], tmp_path: Path
) -> None:
    case = CASES[name]
    mix = Mix(twin, twins["official"][0], twins["sharded"][0], tmp_path)
    paths = case.make(mix)
    with (
        pytest.raises(ltx2.ModelError) as caught,
        ltx2.Session(paths, device="CPU", threads=1) as session,
    ):
        session.encode("a circle")  # where only the text encoder is missing
    words = (
        str(caught.value).replace(str(tmp_path), "FOLDER").replace(str(mix.official), "OFFICIAL")
    )
    words = re.sub(r" in (?!OFFICIAL)[^;]*;", " in FILES;", words, count=1)
    assert words == case.sentence
