"""The nodes for ComfyUI, loaded by a link in its folder of custom nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import local_comfyui
import numpy as np
import pytest
from safetensors_file import read_safetensors, write_safetensors
from test_parity_conditions import files

import ltx2

PROMPT = "a red circle moves right"
SMALL: dict[str, Any] = {"width": 64, "height": 64, "frames": 9, "steps": 2}


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> local_comfyui.ComfyUI:
    """With the link that docs/comfyui.md makes."""
    monkeypatch.delenv("LTX2_MODEL", raising=False)
    opened = local_comfyui.installed(monkeypatch)
    link = tmp_path / "custom_nodes.v1" / "ltx2-nodes"
    link.parent.mkdir()
    link.symlink_to(Path(ltx2.__path__[0]) / "comfyui")
    opened.load_custom_node(link)
    return opened


def test_the_nodes_are_these(comfy: local_comfyui.ComfyUI) -> None:
    assert set(comfy.nodes) == {"LTX2Load", "LTX2Generate"}
    load, generate = comfy.nodes["LTX2Load"], comfy.nodes["LTX2Generate"]
    assert generate.INPUT_TYPES()["required"]["session"] == load.RETURN_TYPES
    assert generate.RETURN_TYPES == ("IMAGE", "AUDIO", "FLOAT")


def test_a_clip_is_the_session_s(comfy: local_comfyui.ComfyUI) -> None:
    """As ComfyUI's values; each widget as it is at first means the model's own."""
    [session] = comfy.execute("LTX2Load")
    images, _, fps = comfy.execute("LTX2Generate", session=session, prompt=PROMPT, **SMALL)
    video = session.t2v(PROMPT, seed=0, **SMALL)
    values = images.cpu().numpy()
    assert (values.dtype, values.shape) == (np.float32, (9, 64, 64, 3))
    assert np.array_equal(values, video.frames.astype(np.float32) / 255)
    assert fps == video.fps


def test_options_and_pictures_arrive(comfy: local_comfyui.ComfyUI) -> None:
    [session] = comfy.execute("LTX2Load", threads=1, keep_loaded=True)
    drawn = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    images, _, fps = comfy.execute(
        "LTX2Generate", session=session, prompt=PROMPT, seed=7, guidance=-1.0, fps=12.0,
        negative_prompt="blue", recipe="one-stage", audio=False, **SMALL,
        images=local_comfyui.picture_batch(*drawn / 255), image_frames="0, 8", strength=0.5,
    )  # fmt: skip
    video = session.i2v(
        PROMPT, {0: (drawn[0], 0.5), 8: (drawn[1], 0.5)}, seed=7, guidance=0, fps=12.0,
        negative_prompt="blue", recipe="one-stage", audio=False, **SMALL,
    )  # fmt: skip
    assert np.array_equal(images.cpu().numpy(), video.frames.astype(np.float32) / 255)
    assert fps == 12


def test_the_sound_is_comfyui_s_audio(
    comfy: local_comfyui.ComfyUI, tiny: dict[str, Path], tmp_path: Path
) -> None:
    model = "\n".join(map(str, files("joint", tiny, tmp_path)))
    [session] = comfy.execute("LTX2Load", model=model)
    given = {**SMALL, "seed": 3, "steps": 1}
    _, audio, _ = comfy.execute("LTX2Generate", session=session, prompt=PROMPT, **given)
    video = session.t2v(PROMPT, **given)
    waveform = audio["waveform"].cpu().numpy()
    assert (waveform.dtype, waveform.shape) == (np.float32, (1, 2, len(video.audio)))
    assert np.array_equal(waveform[0], video.audio.T)
    assert audio["sample_rate"] == video.sample_rate
    _, audio, _ = comfy.execute(
        "LTX2Generate", session=session, prompt=PROMPT, audio=False, **given
    )
    assert audio is None


def test_loras_arrive_with_their_strength(
    comfy: local_comfyui.ComfyUI, tiny: dict[str, Path], tmp_path: Path
) -> None:
    weights, _ = read_safetensors(tiny["base"])
    module = "diffusion_model.transformer_blocks.0.attn1.to_q"
    rows, columns = weights[f"model.{module}.weight"][1].shape
    one, other = (
        write_safetensors(tmp_path / f"{name}.safetensors", {
            f"{module}.lora_A.weight": ("F32", np.ones((1, columns), np.float32)),
            f"{module}.lora_B.weight": ("F32", np.ones((rows, 1), np.float32)),
        }) for name in ("one", "other")
    )  # fmt: skip
    model = "\n".join(map(str, (tiny["base"], tiny["base"].parent / "gemma")))
    [session] = comfy.execute("LTX2Load", model=model, loras=f"\n{one}:0.5\n{other}\n")
    about = session.t2v(PROMPT, **SMALL, seed=0).metadata["loras"]
    found = [(lora["file"], lora["strength"]) for lora in about]
    assert found == [("one.safetensors", 0.5), ("other.safetensors", 1.0)]
    with pytest.raises(ltx2.InvalidArgumentError, match="one of them is given twice"):
        comfy.execute("LTX2Load", model=model, loras=f"{one}:0.5\n{one}")


def test_the_bar_follows_and_an_interrupt_ends_the_clip(comfy: local_comfyui.ComfyUI) -> None:
    [session] = comfy.execute("LTX2Load")
    comfy.execute("LTX2Generate", session=session, prompt=PROMPT, **SMALL)
    assert (1, 2) in comfy.shown  # the first of two steps
    assert all(one != next_ for one, next_ in zip(comfy.shown, comfy.shown[1:], strict=False))
    assert all(0 <= value <= total for value, total in comfy.shown)
    comfy.interrupt_at = len(comfy.shown) + 2
    with pytest.raises(local_comfyui.InterruptProcessingException):
        comfy.execute("LTX2Generate", session=session, prompt=PROMPT, **SMALL)
    assert len(comfy.shown) == comfy.interrupt_at
    comfy.interrupt_at = -1
    comfy.execute("LTX2Generate", session=session, prompt=PROMPT, **SMALL)  # it goes on


@pytest.mark.parametrize("frames", ["0", "0,0", "0,00", "0,0,8", "0,x", "", "0,8,16"])
def test_each_picture_needs_a_frame(frames: str, comfy: local_comfyui.ComfyUI) -> None:
    [session] = comfy.execute("LTX2Load")
    two = local_comfyui.picture_batch(*np.zeros((2, 64, 64, 3)))
    with pytest.raises(ltx2.InvalidArgumentError, match="a frame for each of 2 pictures"):
        comfy.execute(
            "LTX2Generate", session=session, prompt=PROMPT, images=two, image_frames=frames, **SMALL
        )
