"""The commands about models to download: pull, list."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from ltx2 import hub
from ltx2._process import say
from ltx2.text import json_line, visible

from .terminal import ProgressLine, answer_paths, can_answer, json_flag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ltx2.hub import Plan


@click.command()
@click.argument("name", metavar="NAME[:QUANT]")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the download.")
@json_flag
def pull(name: str, yes: bool, as_json: bool) -> None:
    """Download the model NAME, as QUANT, and check it; `ltx2 list` shows what there is.

    Then the name is a model: `--model NAME:QUANT`. What is there already is checked only.
    """
    wanted = hub.model_set(name)

    def begin(plan: Plan) -> None:
        for text in _described(plan):
            say(text)
        if plan.missing and not yes and can_answer():
            click.confirm("ltx2: download it, under these licences?", abort=True, err=True)

    with closing(ProgressLine()) as line:
        paths = hub.pull(name, begin=begin, progress=line.show)
    answer_paths(paths, {"name": wanted.name}, as_json)


def _described(plan: Plan) -> Iterator[str]:
    """What will be downloaded, how large it is, and what it may be used for."""
    from ltx2.download import gigabytes

    size, missing, free = map(gigabytes, (plan.size, plan.missing, plan.free))
    yield f"{plan.wanted.name}: {plan.wanted.about}"
    for file in plan.files:
        here = ", is here" if not file.missing() else ""
        yield f"  {gigabytes(file.size):>9}  {file}{here}"
    yield f"to download: {missing} of {size}, to {plan.folder}, where {free} are free"
    for licence in plan.wanted.licences:
        yield f"licence: {licence.title}: {licence.page}"


@click.command("list")
@json_flag
def list_(as_json: bool) -> None:
    """List the models that `pull` gets, their sizes, and which are here."""
    sets = list(hub.model_sets())
    if as_json:
        click.echo(json_line(list(map(_as_json, sets))))
        return
    width = max(len(known.name) for known in sets)
    click.echo(f"{'name':<{width}}  {'GB':>5}  here   about")
    for known in sets:
        here = _here(known)
        click.echo(visible(f"{known.name:<{width}}  {known.gb:>5.1f}  {here:<5}  {known.about}"))


def _here(known: hub.ModelSet) -> str:
    found = [item for item in known.items if item.path()]
    if len(found) == len(known.items):
        return "yes"
    return "part" if found else "-"


def _as_json(known: hub.ModelSet) -> dict[str, Any]:
    items = [
        {
            "repository": item.repository,
            "revision": item.revision,
            "files": item.files,
            "parts": item.parts,
            "gb": item.gb,
            "licence": item.licence.page,
            "path": path and str(path),
        }
        for item in known.items
        for path in (item.path(),)
    ]
    here = all(item["path"] for item in items)
    return {"name": known.name, "about": known.about, "gb": known.gb, "here": here, "items": items}
