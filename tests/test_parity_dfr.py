"""What LTX-2.5 makes beside a video, single frames, against the official code, on a tiny model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from parity import Arrays, golden, run
from test_parity_sound import INPUTS, compare, sounding
from tolerance import FEW_FRAMES_PSNR, NMSE, nmse, psnr

import ltx2

if TYPE_CHECKING:
    from pathlib import Path

SLOTS = (5, 16)
SIZE: dict[str, Any] = {"width": 64, "height": 64, "frames": 17}


@pytest.fixture(scope="module")
def files(tiny: dict[str, Path], folder: Path) -> list[Path]:
    return sounding("v25", tiny, folder)


def text() -> ltx2.Features:
    """The text encoder of LTX-2.5 is another one than the checkpoint's."""
    want = golden("v25-clip")
    return ltx2.Features("a prompt", "another", want["features"], want["negative"])


def test_keyframes_are_spread_as_the_official_code_does(tmp_path: Path) -> None:
    for frames, want in golden("all-spread").items():
        last = min(int(frames) - 2, 23)
        have = run("layout", [], tmp_path / frames, frames=frames, last=last)["spread"]
        assert np.array_equal(have, want), frames


def inputs() -> Arrays:
    """Of the clip's first step, which has its noise."""
    want = golden("v25-slots")
    video, audio = len(want["single_frames"]), want["audio.positions"].shape[1]
    groups = np.split(want["noise"][: video * 8], [12 * 8, 16 * 8])  # the video, two keyframes
    context = golden("v25-clip")["features"]
    return {
        "latent": np.concatenate([group.reshape(8, -1).T for group in groups]),
        "context": context[:, :64],
        "mask": np.ones(video, np.float32),
        "audio.latent": want["noise"][video * 8 :].reshape(128, audio).T,
        "audio.context": context[:, 64:],
        "audio.mask": np.ones(audio, np.float32),
        **{name: want[name] for name in ("sigma", "positions", "audio.positions")},
    }


def test_velocities(tiny: dict[str, Path], tmp_path: Path) -> None:
    want, given = golden("v25-slots"), inputs()
    assert set(given) >= {prefix + name for prefix in ("", "audio.") for name in INPUTS}
    have = run("dit", [tiny["v25"]], tmp_path, **given, single_frames=want["single_frames"])
    compare(have, want, "", "")
    marks = np.where(np.arange(20) < 4, np.float32(1), np.float32(0))  # of the video alone
    other = run("dit", [tiny["v25"]], tmp_path / "unmarked", **given, single_frames=marks)
    assert nmse(other["velocity"], want["velocity"]) > 100 * NMSE["dit", "F32"].limit


@pytest.mark.parametrize("how", [SLOTS, "5, 16"])
def test_a_clip(how: Any, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")
    want = golden("v25-slots")
    with ltx2.Session(files, device="CPU", threads=1) as session:
        video = session.t2v(text(), noise=want["noise"], generated_keyframes=how, **SIZE)
    assert video.latents is not None
    error, seen = nmse(video.latents, want["latents"]), psnr(video.frames[-1:], want["frames"])
    print(f"latents {error:.2g}, {seen:.1f} dB")
    assert error <= NMSE["latents.joint", "F32"].limit
    assert seen >= FEW_FRAMES_PSNR.limit
    assert video.metadata["generated_keyframes"] == "5, 16"


def test_so_many_are_those_frames(files: list[Path]) -> None:
    """And a single one has a comma."""
    with ltx2.Session(files, device="CPU", threads=1) as session:

        def latents(how: Any) -> Any:
            video = session.t2v(text(), seed=3, generated_keyframes=how, **SIZE)
            return video.latents, video.metadata["generated_keyframes"]

        for count, frames in ((1, "8,"), (3, "4, 8, 12")):
            (have, said), (want, _) = latents(count), latents(frames)
            assert said == frames
            assert np.array_equal(have, want)
        none, _ = latents(0)
        plain = session.t2v(text(), seed=3, **SIZE)
        assert np.array_equal(none, plain.latents if plain.latents is not None else [])
        assert not np.array_equal(none, have)
        assert "generated_keyframes" not in plain.metadata


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("16", " is too many; give up to 15"),
        ("17,", "no frame of the video"),
        ("-1, 3", "no frame of the video"),
        ("3.5,", "no frame of the video"),
        ("3, 3", "does not rise"),
        ("", "is none"),
        (",", "is none"),
        ("many", "no list of numbers; give up to 15, or rising frames in 0..16"),
        (True, "no list of numbers"),
    ],
)
def test_what_is_no_keyframe_is_refused(how: Any, words: str, files: list[Path]) -> None:
    with (
        ltx2.Session(files, device="CPU", threads=1) as session,
        pytest.raises(ltx2.InvalidArgumentError, match=f"generated_keyframes: .*{words}"),
    ):
        session.t2v(text(), generated_keyframes=how, **SIZE)


def test_other_generations_make_none(tiny: dict[str, Path], folder: Path) -> None:
    words = "generated_keyframes: LTX-2.3 makes none; the transformer of LTX-2.5"
    with (
        ltx2.Session(sounding("joint", tiny, folder), device="CPU", threads=1) as session,
        pytest.raises(ltx2.ModelError, match=words),
    ):
        session.t2v("a prompt", generated_keyframes=2, **SIZE)


def test_each_piece_of_a_longer_video_has_its_own(files: list[Path]) -> None:
    with ltx2.Session(files, device="CPU", threads=1) as session:
        clip = session.t2v(text(), seed=3, **SIZE)
        options: dict[str, Any] = {"context": 17, "steps": 1, "seed": 1}
        longer = session.extend(text(), clip, 16, frames=25, generated_keyframes=3, **options)
        assert len(longer) == len(clip) + 16
        assert longer.metadata["generated_keyframes"] == "6, 12, 18"
        with pytest.raises(ltx2.InvalidArgumentError, match="is no number of them; each piece"):
            session.extend(text(), clip, 16, generated_keyframes=[8], **options)
