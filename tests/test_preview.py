"""The small pictures that are shown after each step."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import ltx2
from ltx2 import cli, media, preview
from ltx2.commands.pictures import terminal_writer

PROMPT = "a red circle moves right on a blue background"
SMALL: dict[str, Any] = {"width": 128, "height": 128, "frames": 25, "audio": False}


def small(frames: NDArray[Any]) -> NDArray[np.float64]:
    """What a preview is of: frames scaled down, and the mean of each eight after the first."""
    count, height, width, _ = frames.shape
    side = 32 // preview.CELL
    scaled = frames.reshape(count, height // side, side, width // side, side, 3).mean((2, 4))
    later = scaled[1:].reshape(-1, 8, *scaled.shape[1:]).mean(1)
    whole: NDArray[np.float64] = np.concatenate([scaled[:1], later])
    return whole


@pytest.mark.usefixtures("model")
def test_a_preview_shows_the_clip_and_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_CACHE", str(tmp_path))
    shown: list[NDArray[np.uint8]] = []
    with ltx2.Session() as session:
        whole = session.t2v(PROMPT, seed=1, **SMALL)
        video = session.t2v(PROMPT, seed=1, preview=shown.append, **SMALL)
        assert np.array_equal(video.frames, whole.frames)
        assert len(shown) == video.metadata["steps"]
        want = small(video.frames)
        assert shown[0].shape == want.shape
        # Measured: rest 0.31 after the last step; 0.85 after the first, which is a guess.
        spread = ((want - want.mean((0, 1, 2))) ** 2).sum()
        rest = [((pictures - want) ** 2).sum() / spread for pictures in shown]
        assert rest[-1] < 0.5
        assert rest[-1] < rest[0]
        # The map is kept: it is not fitted again.
        assert [file.name for file in tmp_path.iterdir()] == [
            f"preview-{video.metadata['parts']['video_vae']}"
        ]
        monkeypatch.setattr(preview, "fit", None)
        again: list[NDArray[np.uint8]] = []
        session.t2v(PROMPT, seed=1, preview=again.append, **SMALL)
        assert np.array_equal(again, shown)
        next(tmp_path.iterdir()).write_bytes(b"damaged")
        with pytest.raises(TypeError):  # what is damaged is not used
            session.t2v(PROMPT, seed=1, preview=again.append, **SMALL)


def test_the_map_finds_what_is_linear() -> None:
    """Latents that are a linear picture of the pixels give them back."""
    draw = np.random.default_rng(0)
    mixed = draw.standard_normal((8, 3))

    def encode(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows, columns = clip.shape[1] // 32, clip.shape[2] // 32
        first = clip[:1].reshape(1, rows, 32, columns, 32, 3).mean((2, 4))
        later = clip[1:].reshape(1, 8, rows, 32, columns, 32, 3).mean((1, 3, 5))
        colours = np.concatenate([first, later]) / 127.5 - 1
        latents: NDArray[np.float32] = np.moveaxis(colours @ mixed.T, -1, 0).astype(np.float32)
        return latents

    grey = np.full((9, 128, 128, 3), 64, np.uint8)
    pictures = preview.fit(encode).frames(encode(grey))
    assert pictures.shape == (2, 32, 32, 3)
    assert abs(pictures.astype(int).mean((1, 2, 3)) - 64).max() < 16


@pytest.mark.parametrize("ending", [".png", ".gif", ".webp"])
def test_a_preview_is_a_file(ending: str, model: str, tmp_path: Path) -> None:
    target = tmp_path / f"preview{ending}"
    words = ["-o", str(tmp_path / "a.npy"), "--preview", str(target), "--steps", "2"]
    size = ["--width", "128", "--height", "128", "--frames", "17", "--no-audio"]
    assert cli.main(["t2v", PROMPT, *words, *size]) == 0
    with Image.open(target) as image:
        frames = getattr(image, "n_frames", 1)
        assert (*image.size, frames) == ((64, 64, 1) if ending == ".png" else (32, 32, 3))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.usefixtures("model")
def test_a_preview_that_cannot_be_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, words in (("a.mp4", "ending"), ("none/a.png", "no folder"), ("-", "terminal")):
        flags = ["-o", str(tmp_path / "a.npy"), "--preview"]
        file = name if name == "-" else str(tmp_path / name)
        assert cli.main(["t2v", PROMPT, *flags, file]) == 2
        assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "begin", "end"),
    [
        ({"TERM": "xterm-kitty"}, "\x1b_Ga=T,f=100,q=2,m=0;iVBOR", "\x1b\\\n"),
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]1337;File=inline=1:iVBOR", "\x07\n"),
        ({"TERM": "foot"}, "\x1bPq#0;2;", "-\x1b\\\n"),
        ({"COLORTERM": "truecolor"}, "\x1b[38;2;200;10;30;48;2;200;10;30m▀", "\x1b[0m\n"),
        ({"TERM": "xterm-kitty", "TMUX": "1", "COLORTERM": "24bit"}, "\x1b[38;2;", "\x1b[0m\n"),
    ],
)
def test_a_terminal_shows_pictures_by_its_own_means(
    environment: dict[str, str], begin: str, end: str
) -> None:
    terminal = Terminal()
    pictures = np.full((3, 32, 64, 3), (200, 10, 30), np.uint8)
    write = terminal_writer(terminal, environment)
    assert write
    write(pictures)
    text = terminal.getvalue()
    assert text.startswith(begin)
    assert text.endswith(end)
    if environment.get("COLORTERM") == "truecolor":
        assert text.count("▀") == 2 * 3 * 8


def test_what_shows_no_pictures_is_left_alone() -> None:
    assert terminal_writer(io.StringIO(), {"COLORTERM": "truecolor"}) is None
    assert terminal_writer(Terminal(), {"TERM": "xterm"}) is None
    assert terminal_writer(Terminal(), {"TERM": "dumb", "COLORTERM": "truecolor"}) is None


def test_a_sheet_has_all_pictures() -> None:
    pictures = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), "u1")
    whole = media.sheet(pictures)
    assert whole.shape == (6, 6, 3)
    assert sorted(np.unique(whole)) == [0, 1, 2, 3, 4, 5]
