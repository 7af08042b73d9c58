"""Single frames that LTX-2.5 makes beside a video, against the official code, and the recipe that
is of them against diffusers' pipelines, given the seed's noise, on a tiny model."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_parity_upsampler
from condition_cases import DETAILED, adapter
from golden_text import picture
from parity import Arrays, golden, run
from safetensors_file import Stored, write_safetensors
from test_parity_sound import INPUTS, compare, sounding
from tolerance import FEW_FRAMES_PSNR, NMSE, nmse, psnr

import ltx2
from ltx2 import batch, media, writer
from ltx2.commands.outputs import Output

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
    words = "generated_keyframes: LTX-2.3 makes no keyframes; the transformer of LTX-2.5"
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


# ---- the recipe


@pytest.fixture(scope="module")
def upsamplers(folder: Path) -> list[Path]:
    return [
        test_parity_upsampler.written(kind, folder / f"{kind}.safetensors", channels=8)
        for kind in ("spatial", "temporal")
    ]


def test_layouts(tmp_path: Path) -> None:
    """Exactly: segments, borders, tiles with their lead, anchors and slots."""
    want = {name: a for name, a in golden("v25-dfr").items() if name.startswith("layout.")}
    assert len(want) == 9
    for name, numbers in want.items():
        frames = int(name.split(".")[1])
        have = run("layout", [], tmp_path / name, frames=frames)["canvas"]
        assert np.array_equal(have, numbers), name


def dfr(model: list[Path], **options: Any) -> ltx2.Video:
    loras = options.pop("loras", ())
    with ltx2.Session(model, device="CPU", threads=1, loras=loras) as session:
        images = options.pop("images", None)
        how: dict[str, Any] = {"width": 64, "height": 64, "recipe": "dfr", "seed": 7, **options}
        if images:
            return session.i2v(text(), images, crf=0, **how)
        return session.t2v(text(), **how)


# frames, doublings, pictures with their strengths
CASES: dict[str, tuple[int, int, dict[int, tuple[str, float]]]] = {
    "still": (25, 0, {}),
    "twice": (41, 2, {0: ("wide", 1), 16: ("tall", 1)}),
    "part": (25, 0, {0: ("wide", 0.5), 16: ("tall", 0.5)}),
    "half": (41, 1, {0: ("wide", 0.5), 16: ("tall", 0.5)}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_recipe(
    name: str, files: list[Path], upsamplers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")
    frames, doublings, pictures = CASES[name]
    want = golden("v25-dfr")
    images = {frame: (picture(how), strength) for frame, (how, strength) in pictures.items()}
    video = dfr([*files, *upsamplers], frames=frames, temporal_upscalings=doublings, images=images)
    assert len(video.frames) == (frames - 1) * 2**doublings + 1
    assert video.fps == 24 * 2**doublings
    assert video.latents is not None
    assert video.audio is not None
    assert video.metadata["frames"] == frames
    error = nmse(video.latents, want[f"{name}.latents"])
    print(f"{name}: latents {error:.2g}")
    assert error <= NMSE["latents.joint", "F32"].limit
    if f"{name}.sound.every64" in want:
        heard = nmse(video.audio[::64], want[f"{name}.sound.every64"])
        print(f"sound {heard:.2g}")
        assert heard <= NMSE["clip.sound", "F32"].limit
    if f"{name}.frame" in want:
        seen = psnr(video.frames[-1:], want[f"{name}.frame"])
        print(f"{seen:.1f} dB")
        assert seen >= FEW_FRAMES_PSNR.limit


def detailing(folder: Path, factor: int = 2) -> Path:
    """A LoRA that was trained with references of half the size, or of another."""
    tensors: dict[str, Stored] = {}
    for module, pair in adapter(DETAILED).items():
        for half, values in zip("AB", pair, strict=True):
            tensors[f"diffusion_model.{module}.lora_{half}.weight"] = ("F32", values)
    about = {"reference_downscale_factor": str(factor)}
    return write_safetensors(folder / f"detailing-{factor}.safetensors", tensors, about)


def test_detail(
    files: list[Path], upsamplers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of half that LoRA's strength in the second stage, which refers to the first."""
    monkeypatch.setenv("LTX2_EXACT", "1")
    model, lora = [*files, *upsamplers], detailing(tmp_path)
    video = dfr(model, frames=41, loras=[lora])
    assert video.latents is not None
    error = nmse(video.latents, golden("v25-dfr")["detail.latents"])
    print(f"latents {error:.2g}")
    assert error <= NMSE["latents.joint", "F32"].limit
    plain = dfr(model, frames=41)
    assert video.audio is not None
    assert plain.audio is not None
    assert np.array_equal(video.audio, plain.audio)  # of the first stage
    assert plain.latents is not None
    assert nmse(plain.latents, video.latents) > 1e-4


@pytest.mark.parametrize("factor", [1, 4])
def test_a_lora_for_references_of_another_size_is_refused(
    factor: int, files: list[Path], upsamplers: list[Path], tmp_path: Path
) -> None:
    """Also beside one that fits; where no stage refers to one before it counts as any other."""
    loras = [detailing(tmp_path, factor), detailing(tmp_path)]
    words = f"detailing-{factor}.* with a downscale factor of {factor}, and the recipe dfr"
    with ltx2.Session([*files, *upsamplers], device="CPU", threads=1, loras=loras) as session:
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            session.plan(text(), recipe="dfr", **{**SIZE, "frames": 25})
        assert session.plan(text(), recipe="distilled", **SIZE)["frames"] == 17


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("step", [3, 8, 10, 11, 12, 15, 17, 19, 25, 35])
def test_a_job_goes_on_to_the_same_bits(
    step: int, files: list[Path], upsamplers: list[Path], tmp_path: Path
) -> None:
    """In each stage, after it, in tiles and between: 8 steps, 3, two tiles of 4, four of 4."""
    options = {"frames": 41, "temporal_upscalings": 2, "images": {16: picture("tall")}}
    model, loras = [*files, *upsamplers], [detailing(tmp_path)]
    steps: list[int] = []

    def stop(_preview: Any) -> None:
        steps.append(1)
        if len(steps) == step:
            raise StoppedError

    with pytest.raises(StoppedError):
        dfr(model, loras=loras, job=tmp_path / "clip.job", preview=stop, **options)
    with ltx2.Session(model, device="CPU", threads=1, loras=loras) as session:
        video = session.resume(tmp_path / "clip.job")
    whole = dfr(model, loras=loras, **options)
    assert np.array_equal(video.frames, whole.frames)
    assert video.audio is not None
    assert whole.audio is not None
    assert np.array_equal(video.audio, whole.audio)


def test_the_sound_ends_with_the_video(files: list[Path], upsamplers: list[Path]) -> None:
    """Which was one of whole segments when the sound was made; without sound it is another."""
    video = dfr([*files, *upsamplers], frames=41, temporal_upscalings=1)
    assert len(video.frames) == 81
    assert video.audio is not None
    assert len(video.audio) == round(81 / 48 * video.sample_rate)
    silent = dfr([*files, *upsamplers], frames=41, temporal_upscalings=1, audio=False)
    assert silent.audio is None
    assert not np.array_equal(silent.frames, video.frames)


def test_what_is_said_of_it(
    files: list[Path], upsamplers: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    model = [*files, *upsamplers]
    size: dict[str, Any] = {"width": 64, "height": 64, "frames": 25}
    with ltx2.Session(model, device="CPU", threads=1) as session:
        plan = session.plan(text(), recipe="dfr", temporal_upscalings=2, **size)
        with caplog.at_level("INFO", logger="ltx2"):
            told: list[ltx2.Progress] = []
            video = session.t2v(
                text(), recipe="dfr", temporal_upscalings=2, seed=7, progress=told.append, **size
            )
    assert (plan["recipe"], plan["frames"], plan["fps"]) == ("dfr", 97, 96)
    denoised = [stage["stage"] for stage in plan["stages"]].count("denoise")
    assert denoised == 4  # of tiles in a row one is all
    steps = [p.total for p in told if p.stage == "denoise" and p.done == 0]
    assert steps == [8, 3, 4, 8]  # of all tiles together, of which there are one and two
    words = "25 frames at 24 a second with sound, recipe dfr to 97 at 96, 8 steps"
    assert words in caplog.text
    about = video.metadata
    assert (about["recipe"], about["temporal_upscalings"]) == ("dfr", 2)
    assert (about["frames"], about["fps"]) == (25, 24)
    assert (about["made_frames"], about["made_fps"]) == (97, 96)
    assert (len(video.frames), video.fps) == (97, 96)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_what_would_fit_has_the_frames_that_are_made(
    files: list[Path], upsamplers: list[Path]
) -> None:
    import resource

    size: dict[str, Any] = {"width": 512, "height": 512, "recipe": "dfr"}
    size |= {"temporal_upscalings": 1, "audio": False}
    with ltx2.Session([*files, *upsamplers], device="CPU", threads=1) as session:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
        least = pages * resource.getpagesize() + (300 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (least, before[1]))
        try:
            plan = session.plan(text(), frames=129, **size)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        nearest = plan["nearest"]["frames"]
        size |= {name: plan["nearest"][name] for name in ("width", "height")}
        again = session.plan(text(), frames=nearest // 2 + 1, **size)
    assert not plan["fits"] and plan["frames"] == 257
    assert again["frames"] == nearest < 257


def test_a_plan_counts_what_earlier_stages_made(files: list[Path], upsamplers: list[Path]) -> None:
    """Tiles of both doublings are of one size, and the second ones are parts of twice as much."""
    size = {**SIZE, "frames": 1025, "recipe": "dfr", "temporal_upscalings": 2}
    with ltx2.Session([*files, *upsamplers], device="CPU", threads=1) as session:
        stages = session.plan(text(), **size)["stages"]
    once, twice = [s["activations"] for s in stages if s["stage"] == "denoise"][2:]
    canvas = 4 * 8 * 2 * 2  # bytes of a frame of latents
    assert twice - once >= (513 - 257) * canvas  # 0 where nothing of them is counted


def test_a_queue_shows_what_becomes_of_it(
    files: list[Path], upsamplers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what is asked for, waiting or done; previews are of that."""
    pytest.importorskip("starlette", reason="needs ltx2[serve]")
    from ltx2.serve.asked import Asked
    from ltx2.serve.folder import Folder
    from ltx2.serve.maker import Maker
    from ltx2.serve.shown import shown
    from ltx2.serve.store import Entry

    options = {**SIZE, "frames": 25, "recipe": "dfr", "temporal_upscalings": 2, "seed": 7}
    with ltx2.Session([*files, *upsamplers], device="CPU", threads=1) as session:
        entry = Entry.new(Asked("a", options), session.plan(text(), **options))
        session.t2v(text(), **options).save(tmp_path / "a.mp4")
    done = Entry.found("a.mp4", Asked("a", options), 0)
    for one in (entry, done):
        about = shown(one, Folder(tmp_path), None, "a model")
        assert (about["frames"], about["fps"], about["seconds"]) == (97, 96, "1.01")
    again = shown(done, Folder(tmp_path), None, "a model")["again"]
    assert (again["frames"], again["temporal_upscalings"]) == (25, 2)
    rates: list[float] = []
    monkeypatch.setattr(media, "preview_writer", lambda _path, rate: rates.append(rate))
    Maker._preview(SimpleNamespace(_folder=Folder(tmp_path), tell=None), entry)  # type: ignore[arg-type]
    assert rates == [24 / 8]


def test_there_is_to_be_room_for_what_becomes_of_it(
    files: list[Path], upsamplers: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a batch, and by a command."""
    asked: list[dict[str, Any]] = []
    options = {**SIZE, "frames": 25, "recipe": "dfr", "temporal_upscalings": 2}
    task = batch._Task(text(), str(tmp_path / "a.gif"), {}, options, "")  # type: ignore[arg-type]
    with (
        ltx2.Session([*files, *upsamplers], device="CPU", threads=1) as session,
        monkeypatch.context() as patched,
    ):
        patched.setattr(media, "check_output", lambda _path, **size: asked.append(size))
        batch._make(session, task, None)
    Output(str(tmp_path / "a.npy")).check(options, yes=True)
    assert asked == [{**SIZE, "frames": 25, "fps": 24, "temporal_upscalings": 2}]
    bytes_needed = 64 * 64 * 97 * 3
    monkeypatch.setattr(writer, "free_space", lambda _: bytes_needed - 1)
    with pytest.raises(OSError, match="are free"):
        Output(str(tmp_path / "a.npy")).check(options, yes=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"frames": 1}, "frames: 1 is too few for the recipe dfr, which needs 9"),
        ({"temporal_upscalings": 3}, r"temporal_upscalings: 3 is not in 0\.\.2"),
        ({"recipe": "distilled", "temporal_upscalings": 1}, "the recipe distilled has none"),
        ({"generated_keyframes": 2}, "generated_keyframes: the recipe dfr has its own"),
        ({"width": 96}, "width: 96 is not a multiple of 64"),
        (
            {"fps": 100, "temporal_upscalings": 2},
            "temporal_upscalings: 2 makes 400 frames a second of fps 100, and 240 are the most",
        ),
        (
            {"frames": 1033, "temporal_upscalings": 2},
            "temporal_upscalings: 2 makes 4129 frames of 1033, and 4097 are the most",
        ),
    ],
)
def test_what_it_cannot_do(options: dict[str, Any], words: str, files: list[Path],
                           upsamplers: list[Path]) -> None:  # fmt: skip
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        dfr([*files, *upsamplers], **{"frames": 25, **options})


def test_what_it_is_not_made_by(files: list[Path], upsamplers: list[Path]) -> None:
    clip = np.zeros((9, 64, 64, 3), np.uint8)
    size: dict[str, Any] = {"width": 64, "height": 64, "frames": 25, "recipe": "dfr"}
    with ltx2.Session([*files, *upsamplers], device="CPU", threads=1) as session:
        with pytest.raises(ltx2.InvalidArgumentError, match="references: the recipe dfr takes"):
            session.v2v(text(), clip, **size)
        with pytest.raises(ltx2.InvalidArgumentError, match="sound: the recipe dfr takes"):
            session.a2v(text(), np.zeros((999, 2), np.float32), sample_rate=16000, **size)


def test_what_it_needs(
    tiny: dict[str, Path], folder: Path, files: list[Path], upsamplers: list[Path]
) -> None:
    spatial, temporal = upsamplers
    both = test_parity_upsampler.written("both", folder / "both.safetensors", channels=8)
    for model, words in (
        ([*files, both, temporal], "both.safetensors: enlarges 4 frames of 1 x 1 latents to 7 of"),
        ([*files, spatial], "no temporal latent upsampler in"),
        ([*files, temporal], "no latent upsampler in"),
        ([*sounding("joint", tiny, folder), *upsamplers], "recipe: LTX-2.3 makes no keyframes"),
    ):
        with pytest.raises(ltx2.ModelError, match=words):
            dfr(model, frames=25, temporal_upscalings=1)
