"""Adapters beside the weights: as the same model with them merged, whoever wrote the file."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors_file import read_safetensors, write_safetensors
from tolerance import nmse

import ltx2
from ltx2 import cli
from ltx2.convert import convert, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from safetensors_file import Stored

    from ltx2.model_files import Loras

    Tensors = Iterator[tuple[str, NDArray[np.float32]]]
    Matrices = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]  # module -> A, B

DIT = "model.diffusion_model."
RANK = 3
SMALL: ltx2.Options = {"width": 64, "height": 64, "frames": 9, "steps": 2, "seed": 1}
MODULES = (
    "transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn2.to_v",
    "transformer_blocks.1.attn1.to_out.0", "transformer_blocks.1.ff.net.0.proj",
    "transformer_blocks.1.ff.net.2", "patchify_proj", "adaln_single.linear",
)  # fmt: skip
MERGED = 1e-10  # NMSE of latents, at most; measured 1.1e-12


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")


@pytest.fixture(scope="module")
def matrices(tiny: dict[str, Path]) -> Matrices:
    weights = read_safetensors(tiny["base"])[0]
    random = np.random.default_rng(7)
    found = {}
    for module in MODULES:
        out, inputs = weights[DIT + module + ".weight"][1].shape
        a = random.standard_normal((RANK, inputs)).astype(np.float32) / np.sqrt(inputs)
        found[module] = (a, 0.5 * random.standard_normal((out, RANK)).astype(np.float32))
    return found


def latents(model: Path | list[Path], loras: Loras = ()) -> NDArray[np.float32]:
    with ltx2.Session(model, device="CPU", threads=1, loras=loras) as session:
        made = session.t2v("a red circle", **SMALL).latents
    assert made is not None
    return made


def merged(tiny: Path, folder: Path, matrices: Matrices, strength: float = 1.0) -> list[Path]:
    """The checkpoint with the adapter in its weights."""
    tensors, metadata = read_safetensors(tiny)
    for module, (a, b) in matrices.items():
        name = DIT + module + ".weight"
        whole = tensors[name][1] + strength * (b.astype(np.float64) @ a)
        tensors[name] = ("F32", whole.astype(np.float32))
    path = folder / "merged.safetensors"
    return [write_safetensors(path, tensors, metadata), tiny.parent / "gemma"]


@pytest.fixture(scope="module")
def base(tiny: dict[str, Path]) -> NDArray[np.float32]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTX2_EXACT", "1")
        return latents(tiny["base"].parent)


@pytest.fixture(scope="module")
def right(tiny: dict[str, Path], folder: Path, matrices: Matrices) -> NDArray[np.float32]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTX2_EXACT", "1")
        return latents(merged(tiny["base"], folder, matrices))


# Each writer's file; all say the same.
def named(prefix: str, down: str, up: str, matrices: Matrices) -> Tensors:
    for module, (a, b) in matrices.items():
        yield f"{prefix}{module}{down}", a
        yield f"{prefix}{module}{up}", b


def official(matrices: Matrices) -> Tensors:
    return named("diffusion_model.", ".lora_A.weight", ".lora_B.weight", matrices)


def peft(matrices: Matrices) -> Tensors:
    return named("base_model.model.", ".lora_A.default.weight", ".lora_B.default.weight", matrices)


def old(matrices: Matrices) -> Tensors:
    ends = (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")
    return named(DIT, *ends, matrices)


def with_alpha(matrices: Matrices) -> Tensors:
    for module, (a, b) in matrices.items():
        yield f"diffusion_model.{module}.lora_A.weight", a
        yield f"diffusion_model.{module}.lora_B.weight", b * 2
        yield f"diffusion_model.{module}.alpha", np.array(RANK / 2, np.float32)


def kohya(matrices: Matrices) -> Tensors:
    for module, (a, b) in matrices.items():
        name = "lora_unet_" + module.replace(".", "_")
        yield f"{name}.lora_down.weight", a[:, :, None, None]
        yield f"{name}.lora_up.weight", b / np.float32(4)
        yield f"{name}.alpha", np.array([4 * RANK], np.float32)


def diffusers(matrices: Matrices) -> Tensors:
    names = {"patchify_proj": "proj_in", "adaln_single.linear": "time_embed.linear"}
    for module, (a, b) in matrices.items():
        name = "transformer." + names.get(module, module)
        yield f"{name}.lora_A.weight", a
        yield f"{name}.lora_B.weight", b


WRITERS = [official, with_alpha, kohya, diffusers, peft, old]


def written(path: Path, tensors: dict[str, NDArray[np.float32]], **stated: str) -> Path:
    stored: dict[str, Stored] = {name: ("F32", values) for name, values in tensors.items()}
    return write_safetensors(path, stored, stated)


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_s_file_is_the_merged_model(
    writer: object,
    tiny: dict[str, Path],
    matrices: Matrices,
    base: NDArray[np.float32],
    right: NDArray[np.float32],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = written(tmp_path / "lora.safetensors", dict(writer(matrices)))  # type: ignore[operator]
    with caplog.at_level(logging.WARNING, "ltx2"):
        have = latents(tiny["base"].parent, [path])
    error = nmse(have, right)
    print(error)
    assert error <= MERGED
    assert nmse(base, right) > 1e-3
    assert not caplog.records


def test_metadata_and_a_config_beside_it_state_alpha(
    tiny: dict[str, Path], matrices: Matrices, right: NDArray[np.float32], tmp_path: Path
) -> None:
    doubled = {module: (a, 2 * b) for module, (a, b) in matrices.items()}
    stated = {"lora_alpha": RANK, "r": 2 * RANK}
    about = json.dumps({f"transformer.{name}": value for name, value in stated.items()})
    path = written(
        tmp_path / "lora.safetensors", dict(diffusers(doubled)), lora_adapter_metadata=about
    )
    assert nmse(latents(tiny["base"].parent, [path]), right) <= MERGED
    path = written(tmp_path / "adapter_model.safetensors", dict(peft(doubled)))
    (tmp_path / "adapter_config.json").write_text(json.dumps(stated))
    assert nmse(latents(tiny["base"].parent, [path]), right) <= MERGED


def test_strengths_add_up_and_nothing_is_nothing(
    tiny: dict[str, Path],
    matrices: Matrices,
    base: NDArray[np.float32],
    right: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    one = written(tmp_path / "one.safetensors", dict(official(matrices)))
    two = written(tmp_path / "two.safetensors", dict(kohya(matrices)))
    model = tiny["base"].parent
    assert nmse(latents(model, {one: 0.25, two: 0.75}), right) <= MERGED
    gone = {module: (a, 0 * b) for module, (a, b) in matrices.items()}
    alpha = {
        name: 0 * values if name.endswith("alpha") else values for name, values in with_alpha(gone)
    }
    none = written(tmp_path / "none.safetensors", alpha)
    assert np.array_equal(latents(model, [none]), base)
    negative = latents(merged(tiny["base"], tmp_path, matrices, -0.5))
    assert nmse(latents(model, {one: -0.5}), negative) <= MERGED


def test_beside_quantised_weights(
    tiny: dict[str, Path], matrices: Matrices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branch keeps its own precision: what it adds is the same as to whole weights."""
    monkeypatch.setenv("LTX2_EXACT", "0")
    files = [
        convert(tiny["base"], tmp_path / "video.gguf", "q4_0"),
        convert(tiny["base"].parent / "gemma", tmp_path / "gemma.gguf", "q8_0"),
    ]
    lora = written(tmp_path / "lora.safetensors", dict(official(matrices)))
    with monkeypatch.context() as patch:
        patch.setenv("LTX2_EXACT", "1")
        wide = latents(files, [lora])
    error = nmse(latents(files, [lora]), wide)
    print(error)
    assert error <= 1e-3  # measured 2e-5
    assert nmse(latents(files), wide) > 1e-3


REFUSED = {
    "nothing": ("another.lora_A.weight", "changes nothing of this model"),
    "half": ("diffusion_model.patchify_proj.lora_A.weight", "it has the first matrix alone"),
    "DoRA": ("diffusion_model.patchify_proj.dora_scale", "is of DoRA, which is not supported"),
    "LoKr": ("diffusion_model.patchify_proj.lokr_w1", "is of LoKr, which is not supported"),
    "diff": ("diffusion_model.patchify_proj.diff", "is of a difference of whole weights"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_adapter_of_this_model_is_refused(
    case: str, tiny: dict[str, Path], matrices: Matrices, tmp_path: Path
) -> None:
    name, words = REFUSED[case]
    path = written(tmp_path / "x.safetensors", {name: matrices["patchify_proj"][0]})
    with pytest.raises(ltx2.ModelError, match=rf"x.safetensors: .*{words}"):
        latents(tiny["base"].parent, [path])


def test_shapes_of_another_model_are_refused(
    tiny: dict[str, Path], matrices: Matrices, tmp_path: Path
) -> None:
    a, b = matrices["patchify_proj"]
    wider = {"patchify_proj": (np.pad(a, ((0, 0), (0, 1))), b)}
    path = written(tmp_path / "x.safetensors", dict(official(wider)))
    with pytest.raises(ltx2.ModelError, match=r"patchify_proj do not fit: .* for another model"):
        latents(tiny["base"].parent, [path])


def test_modules_that_the_model_lacks_are_named(
    tiny: dict[str, Path], matrices: Matrices, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = dict(official(matrices))
    tensors["diffusion_model.transformer_blocks.0.audio_attn9.to_q.lora_A.weight"] = np.ones(
        (1, 1), np.float32
    )
    path = written(tmp_path / "x.safetensors", tensors)
    with caplog.at_level(logging.WARNING, "ltx2"):
        latents(tiny["base"].parent, [path])
    assert "changes 7 matrices; 1 that it names are not in this model: " in caplog.text
    assert "audio_attn9.to_q" in caplog.text


def test_settings_and_fingerprints_know_it(
    tiny: dict[str, Path], matrices: Matrices, tmp_path: Path
) -> None:
    path = written(tmp_path / "lora.safetensors", dict(official(matrices)))
    about = []
    ways: list[Loras] = [[], [path], {path: 0.5}]
    for loras in ways:
        with ltx2.Session(tiny["base"].parent, device="CPU", threads=1, loras=loras) as session:
            about.append(session.t2v("a red circle", **SMALL).metadata)
    assert "loras" not in about[0]
    assert about[2]["loras"] == [{"file": "lora.safetensors", "strength": 0.5}]
    assert len({json.dumps(one["parts"]) for one in about}) == 3


def test_a_job_and_a_clip_know_it(
    tiny: dict[str, Path], matrices: Matrices, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(progress: ltx2.Progress) -> None:
        if (progress.stage, progress.done) == ("denoise", 1):
            raise KeyError

    base = tiny["base"].parent
    path = written(tmp_path / "lora.safetensors", dict(official(matrices)))
    ways: list[tuple[str, Loras]] = [("a.job", {path: 0.7}), ("b.job", {})]
    for name, loras in ways:
        with (
            ltx2.Session(base, device="CPU", threads=1, loras=loras) as session,
            pytest.raises(KeyError),
        ):
            session.t2v("a red circle", **SMALL, progress=stop, job=(tmp_path / name, "a.npy"))
    with ltx2.Session(base, device="CPU", threads=1, loras={path: 0.7}) as session:
        made = session.t2v("a red circle", **SMALL)
        made.save(tmp_path / "a.gif")
        with pytest.raises(ltx2.InvalidArgumentError, match=r"with other adapters.* and no adapte"):
            session.resume(tmp_path / "b.job")
        caplog.clear()
        session.replay(tmp_path / "a.gif")
    assert not caplog.records
    with ltx2.Session(base, device="CPU", threads=1) as session:
        with pytest.raises(
            ltx2.InvalidArgumentError,
            match=r"with other adapters; go on with .* and the adapters .*lora.safetensors:0.7$",
        ):
            session.resume(tmp_path / "a.job")
        session.replay(tmp_path / "a.gif")
    assert caplog.messages == [
        "replay: made with the adapters lora.safetensors:0.7; the video will differ"
    ]
    out = str(tmp_path / "b.npy")
    words = ["resume", str(tmp_path / "a.job"), "-o", out, "--device", "CPU"]
    assert cli.main(words) == 0
    assert np.array_equal(np.load(out), made.frames)


def test_convert_merges(
    tiny: dict[str, Path], matrices: Matrices, right: NDArray[np.float32], tmp_path: Path
) -> None:
    one = written(tmp_path / "one.safetensors", dict(official(matrices)))
    two = written(tmp_path / "two.safetensors", dict(kohya(matrices)))
    merged = convert(tiny["base"], tmp_path / "m.gguf", "f32", loras={one: 0.25, two: 0.75})
    assert nmse(latents([merged, tiny["base"].parent / "gemma"]), right) <= MERGED
    code = cli.main(
        ["convert", str(tiny["base"]), "-o", str(tmp_path / "c.gguf"), "--type", "f32", "--lora",
         f"{one}:0.25", "--lora", f"{two}:.75"]
    )  # fmt: skip
    assert code == 0
    assert (tmp_path / "c.gguf").read_bytes() == merged.read_bytes()
    before = one.read_bytes()
    with pytest.raises(ltx2.InvalidArgumentError, match="is a source itself"):
        convert(tiny["base"], one, loras={one: 0.25})
    assert one.read_bytes() == before
    said = [
        {"file": path.name, "strength": strength} for path, strength in ((one, 0.25), (two, 0.75))
    ]
    assert json.loads(plan(merged)["metadata"]["ltx2.loras"]) == said  # once more converted
    more = plan(merged, loras={one: 0.5})["metadata"]["ltx2.loras"]
    assert json.loads(more) == [*said, {"file": "one.safetensors", "strength": 0.5}]


@pytest.mark.parametrize(
    ("name", "stated", "words"),
    [
        ("ltx-2.5-22b-style", {}, "an adapter for LTX-2.5, and the model is LTX-2.3"),
        ("ltx-2-19b-ic-lora-detailer", {}, "an adapter for LTX-2.0, and the model is LTX-2.3"),
        ("a", {"model_version": "2.5.0"}, "an adapter for LTX-2.5, and the model is LTX-2.3"),
        ("ltx-2.5-a", {"model_version": "2.3.0"}, ""),
        ("ltx-2.3-22b-style", {}, ""),
    ],
)
def test_one_of_another_generation_is_warned_of(
    name: str,
    stated: dict[str, str],
    words: str,
    tiny: dict[str, Path],
    matrices: Matrices,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = written(tmp_path / f"{name}.safetensors", dict(official(matrices)), **stated)
    with caplog.at_level(logging.WARNING, "ltx2"):
        ltx2.Session(tiny["base"].parent, device="CPU", loras=[path]).close()
    assert [words in r.getMessage() for r in caplog.records] == ([True] if words else [])
