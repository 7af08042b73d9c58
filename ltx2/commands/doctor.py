"""The command that looks whether all is well here."""

from __future__ import annotations

import logging
from dataclasses import asdict

import click

from ltx2.text import json_line, visible

from .terminal import json_flag


@click.command()
@json_flag
def doctor(as_json: bool) -> None:
    """Look at what may keep ltx2 from working here, and say what to do about it.

    Each device makes a clip of the demo that is compared with stored values. The exit code is 1
    where something is wrong.
    """
    from ltx2.doctor import examine

    logging.getLogger("ltx2").setLevel(logging.ERROR)  # the rest is of runs that nobody asked for
    found = []
    for finding in examine():
        found.append(finding)
        if as_json:
            continue
        click.echo(visible(f"{'ok' if finding.ok else '!!'}  {finding.what}: {finding.seen}"))
        if finding.advice:
            click.echo(visible(f"    to do: {finding.advice}"))
    if as_json:
        findings = [{**asdict(finding), "ok": finding.ok} for finding in found]
        click.echo(json_line({"ok": all(f.ok for f in found), "findings": findings}))
    click.get_current_context().exit(0 if all(finding.ok for finding in found) else 1)
