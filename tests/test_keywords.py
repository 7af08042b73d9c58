"""What editors, help() and type checkers see of the calls, and what a wrong name is told."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ltx2
from ltx2 import _native, convert, hub, keywords
from ltx2.enhancing import Enhancing
from ltx2.model_files import strengths_of
from ltx2.request import Making

ROOT = Path(__file__).parents[1]
MAKING = ["a2v", "ai2v", "at2v", "encode", "extend", "i2v", "plan", "retake", "t2v", "v2v"]


def calls() -> dict[str, Callable[..., Any]]:
    """The public methods of Session."""
    members = inspect.getmembers(ltx2.Session, callable)
    return {name: call for name, call in members if not name.startswith("_")}


@pytest.mark.parametrize(
    ("call", "options"), [*((n, Making) for n in MAKING), ("enhance", Enhancing)]
)
def test_the_signatures_repeat_the_options(call: str, options: type) -> None:
    function = calls()[call]
    parameters = inspect.signature(function).parameters
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    expected = typing.get_type_hints(options)
    have = {name: parameters[name] for name in parameters if name in expected}
    hints = typing.get_type_hints(function)
    assert [*have] == [*expected]
    for name, parameter in have.items():
        assert (hints[name], parameter.default) == (expected[name], None)
        assert parameter.kind is parameter.KEYWORD_ONLY


def test_all_calls_that_take_options_are_listed() -> None:
    assert [n for n, c in calls().items() if "steps" in inspect.signature(c).parameters
            and "seed" in inspect.signature(c).parameters] == MAKING  # fmt: skip


def test_help_says_of_each_option_what_the_header_says() -> None:
    words = _native.sentences("ltx2_video_params")
    for call in MAKING:
        text = " ".join((inspect.getdoc(calls()[call]) or "").split())
        for name in ltx2.Options.__annotations__:
            assert f"{name}: {words[name]}" in text, (call, name)
    assert "top_k: Of how many tokens" in (inspect.getdoc(ltx2.Session.enhance) or "")


def public() -> Iterator[tuple[str, Any]]:
    """Every public class, function and method."""
    found = [(name, getattr(ltx2, name)) for name in ltx2.__all__ if name != "__version__"]
    for module in (convert, hub):
        found += [(f"{module.__name__}.{n}", v) for n, v in own(module) if callable(v)]
    for name, value in found:
        yield name, value
        if inspect.isclass(value):
            for inner, method in inspect.getmembers(value, inspect.isroutine):
                if hasattr(method, "__annotations__") and not inner.startswith("__"):
                    yield f"{name}.{inner}", method


def own(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_"):
            yield name, value


@pytest.mark.parametrize("name", dict(public()))
def test_type_hints_can_be_had(name: str) -> None:
    value = dict(public())[name]
    hints = typing.get_type_hints(value)
    if inspect.isfunction(value) and not inspect.signature(value).parameters.keys() <= {"self"}:
        assert hints, name


def test_editors_complete_the_options() -> None:
    jedi = pytest.importorskip("jedi", reason="needs jedi, which ipykernel brings")
    for source in ("import ltx2\nltx2.Session().t2v(", "from ltx2 import Session\nSession().i2v("):
        (signature,) = jedi.Script(source).get_signatures()
        names = {parameter.name for parameter in signature.params}
        assert set(Making.__annotations__) < names
    for source in ("call.t2v(", "call.at2v("):  # as in a notebook
        (signature,) = jedi.Interpreter(source, [{"call": ltx2.Session}]).get_signatures()
        assert set(Making.__annotations__) < {parameter.name for parameter in signature.params}


# ---- wrong names


@pytest.mark.parametrize(
    ("call", "name", "words"),
    [
        ("t2v", "colour", r"Session.t2v: there is no colour; help\(ltx2.Session.t2v\) lists"),
        ("t2v", "widht", "there is no widht; did you mean width?"),
        ("i2v", "num_inference_steps", "diffusers' num_inference_steps is `steps` here"),
        ("retake", "negative_promt", "did you mean negative_prompt?"),
        ("enhance", "top_p", "Session.enhance: there is no top_p; did you mean top_k?"),
        ("resume", "progres", "did you mean progress?"),
    ],
)
def test_a_wrong_name_is_told_what_it_was_meant_as(call: str, name: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        calls()[call](None, **{name: 1})


def test_a_session_is_opened_by_the_right_names_alone() -> None:
    with pytest.raises(TypeError, match="Session: there is no modle; did you mean model"):
        ltx2.Session(modle="a.gguf")  # type: ignore[call-arg]


def test_the_names_of_diffusers_are_none_of_ours_and_lead_to_ours() -> None:
    ours = {name for call in calls().values() for name in inspect.signature(call).parameters}
    ours |= calls().keys()
    for theirs, here in keywords.DIFFUSERS.items():
        assert theirs not in inspect.signature(ltx2.Session.t2v).parameters
        for name in re.findall(r"`(\w+)`", here):
            assert name in ours, f"{theirs}: there is no {name}"


def test_the_page_lists_the_names_of_diffusers() -> None:
    page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)) == keywords.DIFFUSERS


def test_none_is_the_default(tiny_model: list[Path]) -> None:
    with ltx2.Session(
        tiny_model, device=None, threads=None, keep_loaded=None, low_memory=None, loras=None
    ) as session:
        nothing: dict[str, Any] = dict.fromkeys(Making.__annotations__)
        one = session.t2v("a", **{**nothing, "seed": 1}, job=None)
        other = session.t2v("a", seed=1)
        picture, small = one.frames[0], ltx2.Video(one.frames.repeat(3, 0)[:25], 24.0)
        images = [session.i2v("a", picture, keyframes=k, seed=1) for k in (None, False)]
        assert (images[0].frames == images[1].frames).all()
        retaken = session.retake("a", small, 0, 0.1, what=None, splice=None, seed=1)
        assert retaken.metadata["retake"]["what"] is None
        assert retaken.metadata["splice"]
        extended = session.extend("a", small, 8, before=None, context=None, frames=25, seed=1)
        assert (extended[0] == small[0]).all()
    assert (one.frames == other.frames).all()


def test_one_adapter_is_a_path(tmp_path: Path) -> None:
    for one in (str(tmp_path / "none.safetensors"), tmp_path / "none.safetensors"):
        with pytest.raises(ltx2.ModelError, match=r"none\.safetensors"):
            ltx2.Session(loras=one)
        assert strengths_of(one) == strengths_of([one]) == {one: 1.0}


def test_modules_come_with_the_package() -> None:
    words = "import ltx2; print(ltx2.batch.generate, ltx2.hub.pull, ltx2.convert.plan)"
    said = subprocess.run([sys.executable, "-c", words], capture_output=True, check=True).stdout
    assert b"function generate" in said
    assert {"batch", "convert", "hub"} < set(dir(ltx2))
    with pytest.raises(AttributeError, match="no attribute 'hubs'"):
        ltx2.hubs  # noqa: B018
