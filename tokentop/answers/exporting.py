"""Writes a timeline to a file: whole or not at all, readable by its owner alone."""

from __future__ import annotations

import contextlib
import os
from datetime import tzinfo
from pathlib import Path

import msgspec

from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline
from tokentop.export import document
from tokentop.export.brought import figures, one_line
from tokentop.export.values import iso
from tokentop.text import clean

FOLDER = "exports"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_timeline(
    folder: Path, told: Timeline, form: str, zone: tzinfo, now_ms: int, bought: Bought | None = None
) -> Path:
    """Write html, md or json below `exports` in the state directory; where it is. OSError."""
    place = folder / FOLDER
    place.mkdir(mode=0o700, exist_ok=True)
    session = told.session
    name = "".join(
        c if c.isalnum() or c in "-_." else "-" for c in f"{session.agent}-{clean(session.id, 60)}"
    )
    return write_whole(place / f"{name.lstrip('.')}.{form}", content_of(told, form, zone, now_ms, bought))


def content_of(told: Timeline, form: str, zone: tzinfo, now_ms: int, bought: Bought | None = None) -> str:
    """The text of an export."""
    outcome = one_line(bought) if bought is not None else ""
    if form == "html":
        from tokentop.export.page import page

        return page(told, zone, outcome)
    if form == "md":
        from tokentop.export.markdown import markdown

        return markdown(told, zone, outcome)
    found = {
        "schema": "tokentop.session/1", "generated_at": iso(now_ms), **document.session(told),
        "outcome": None if bought is None else figures(bought.sum),
    }  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def write_whole(target: Path, content: str) -> Path:
    """Write a file beside its place and put it there; its absolute path. OSError."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(
            os.open(beside, _NEW, 0o600),
            "w",
            encoding="utf-8",
        ) as file:
            file.write(content)
        beside.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    return target.absolute()
