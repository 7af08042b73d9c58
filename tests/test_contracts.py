"""What is written in one place and must hold in several: names, fields, flags, versions, codes."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ltx2
from ltx2 import _native, cli, enhancing, errors, request
from ltx2._native import ffi, lib
from ltx2.commands import failures

ROOT = Path(__file__).parent.parent

# Fields of ltx2_video_params that are not options: they travel by other ways.
NOT_OPTIONS = {
    "size", "prompt", "images", "image_count", "noise_count", "progress", "latents", "user_data",
    "features", "resume", "state", "keyframes", "references", "reference_count", "source", "sound",
    "begin", "retake_start", "retake_end", "retake_what", "span",
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    public = {name for name in vars(ltx2) if not name.startswith("_")}
    modules = {name for name in public if f"ltx2.{name}" in sys.modules}
    assert public - modules | {"__version__"} == set(ltx2.__all__)
    assert list(ltx2.__all__) == sorted(ltx2.__all__)


# Of each struct that grows: its last field, and the struct's size. Padding at the end holds
# whatever a caller's memory held, so the next field begins after it.
RELEASED = {
    "ltx2_session_params": ("lora_count", 56),
    "ltx2_video_params": ("temporal_upscalings", 272),
    "ltx2_frames_params": ("user_data", 48),
    "ltx2_decode_params": ("seed", 56),
    "ltx2_enhance_params": ("user_data", 80),
    "ltx2_conversion_params": ("lora_count", 88),
}


def test_no_later_field_lies_in_the_padding_of_an_earlier_struct() -> None:
    with_size = {
        name
        for name in ffi.list_types()[0]
        if (kind := ffi.typeof(name)).kind == "struct"
        and kind.fields  # None: of unknown content
        and kind.fields[0][0] == "size"
    }
    assert with_size == RELEASED.keys()
    for struct, (last, size) in RELEASED.items():
        fields = ffi.typeof(struct).fields
        later = fields[[name for name, _ in fields].index(last) + 1 :]
        assert ffi.sizeof(struct) >= size
        assert all(field.offset >= size for _, field in later), struct


def test_options_are_the_fields_of_the_struct_and_the_flags_of_the_commands() -> None:
    fields = {name for name, _ in ffi.typeof("ltx2_video_params").fields} - NOT_OPTIONS
    assert set(ltx2.Options.__annotations__) == fields
    own = {"latents", "output", "model", "device", "threads", "low_memory"}
    own |= {"as_json", "verbose", "features", "preview", "profile", "job", "loras"}
    own |= {"enhance", "enhance_instructions", "yes", "quiet", "duration"}
    for command, positional in (
        ("t2v", {"prompt", "prompts"}),
        ("i2v", {"prompt", "images", "crf", "keyframes"}),
    ):
        parameters = cli.cli.commands[command].params
        assert {p.name for p in parameters} == fields | own | positional
        for parameter in parameters:
            if parameter.name in fields:
                name = "no_audio" if parameter.name == "audio" else parameter.name
                assert parameter.opts == ["--" + name.replace("_", "-")]


def test_how_a_prompt_is_enhanced_is_the_fields_of_the_struct() -> None:
    fields = {name for name, _ in ffi.typeof("ltx2_enhance_params").fields}
    own = {"size", "prompt", "progress", "user_data"}
    assert set(ltx2.Enhancing.__annotations__) == fields - own


@pytest.mark.parametrize(
    ("module", "name", "struct"),
    [
        (request, "Options", "ltx2_video_params"),
        (enhancing, "Enhancing", "ltx2_enhance_params"),
    ],
)
def test_options_are_described_in_the_words_of_the_header(
    module: ModuleType, name: str, struct: str
) -> None:
    """The flags take the header's sentences; an editor shows those in the source of Options."""
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    tree = next(n for n in ast.parse(source).body if getattr(n, "name", "") == name)
    assert isinstance(tree, ast.ClassDef)
    texts = [ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Expr)]
    documented = dict(zip(getattr(module, name).__annotations__, texts[1:], strict=True))
    for name, sentence in _native.sentences(struct).items():
        if name in documented:
            words = " ".join(str(documented[name]).split())
            assert words.startswith(sentence.removesuffix(".")), name


def test_a_session_is_described_in_the_words_of_the_header() -> None:
    """Of the parameters of Session; the flags take the sentences themselves."""
    listed = re.findall(
        r"^(\w+)  +(.+(?:\n {4,}.+)*)", inspect.getdoc(ltx2.Session) or "", re.MULTILINE
    )
    documented = {name: " ".join(text.split()) for name, text in listed}
    header = _native.sentences("ltx2_session_params")
    assert documented.keys() == {
        "model", "device", "threads", "keep_loaded", "low_memory", "loras",
    }  # fmt: skip
    assert documented.keys() == inspect.signature(ltx2.Session).parameters.keys()
    for name, text in documented.items():
        sentence = header["files" if name == "model" else name]
        assert text.casefold().startswith(sentence.removesuffix(".").casefold()), name
        flag = next((p for p in cli.cli.commands["t2v"].params if p.name == name), None)
        assert flag is None or str(flag.help).startswith(sentence), name


def test_every_status_has_its_exception_and_every_exception_its_exit_code() -> None:
    header = _native.header_path.read_text(encoding="utf-8")
    names = re.findall(r"LTX2_STATUS_(\w+) = -?[1-9]", header)
    assert names
    expected = {"".join(word.title() for word in name.split("_")) + "Error" for name in names}
    tree = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert tree == expected | {"Error"}
    assert expected <= {kind.__name__ for kind in failures.EXIT_CODES}
    for name in names:
        with pytest.raises(errors.Error) as raised:
            _native.check(getattr(lib, f"LTX2_STATUS_{name}"))
        assert type(raised.value).__name__.removesuffix("Error") == name.title().replace("_", "")


def test_an_unknown_status_is_an_internal_error() -> None:
    with pytest.raises(ltx2.InternalError):
        _native.check(-99)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(ltx2.InvalidArgumentError, ValueError)
    assert issubclass(ltx2.OutOfMemoryError, MemoryError)


def test_exit_codes_are_those_of_the_documentation() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert documented == {0, *failures.EXIT_CODES.values()}


def test_the_library_has_the_version_of_the_package() -> None:
    assert _native.string(lib.ltx2_version()) == ltx2.__version__


def test_the_header_next_to_the_library_is_the_header_of_the_source() -> None:
    source = ROOT / "native" / "include" / "ltx2.h"
    assert _native.header_path.read_bytes() == source.read_bytes()


def functions() -> list[str]:
    text = _native.header_path.read_text(encoding="utf-8")
    return re.findall(r"^LTX2_API [^;]*?(ltx2_\w+)\(", text, re.MULTILINE)


def test_the_library_exports_the_functions_of_the_header_and_nothing_else() -> None:
    if not shutil.which("nm") or sys.platform == "darwin":
        pytest.skip("needs GNU nm")
    command = ["nm", "-D", "--defined-only", "--format=posix", str(_native.library_path)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[0] for line in listed.splitlines()) == sorted(functions())


@pytest.mark.parametrize(("language", "standard"), [("c", "c99"), ("c++", "c++11")])
def test_the_header_compiles_alone(language: str, standard: str, tmp_path: Path) -> None:
    compiler = shutil.which("cc" if language == "c" else "c++")
    if not compiler:
        pytest.skip(f"needs a {language} compiler")
    unit = tmp_path / "unit.txt"
    unit.write_text('#include "ltx2.h"\n')
    flags = ["-x", language, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    include = ["-I", str(_native.header_path.parent)]
    command = [compiler, *flags, *include, "-fsyntax-only", str(unit)]
    subprocess.run(command, check=True)


def test_a_missing_library_is_reported_with_the_places_looked_at(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import ltx2"]
    path = str(Path(ltx2.__file__).parents[1])
    environment = {"LTX2_LIBRARY": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
    assert "LTX2_LIBRARY" in done.stderr
