"""A picture of the screen as text: characters and runs of styles. Small, readable as a diff, and drawn as SVG on demand.

A file holds one screen at one size. Characters stand once, styles once per look:

    == text dark light mono
     ● 7  ▶ 2  ...
    == style dark
    a bold #e69f00 on #101214
    1 4a12b
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from textual.app import App

Run = tuple[str, str]  # characters, style as rich writes it


class Picture(NamedTuple):
    """Every line of the terminal as runs of one style; a line is as wide as the terminal."""

    lines: tuple[tuple[Run, ...], ...]

    @property
    def text(self) -> list[str]:
        return ["".join(text for text, _ in line) for line in self.lines]


def take(app: App[str]) -> Picture:
    """What the terminal shows now, with the screens behind a dialog."""
    compositor = app.screen._compositor
    update = compositor.render_update(full=True, screen_stack=app._background_screens)
    lines = []
    for strips in update.strips:  # type: ignore[union-attr]
        runs: list[Run] = []
        for segment in (segment for strip in strips for segment in strip):
            style = str(segment.style) if segment.style else "none"
            if runs and runs[-1][1] == style:
                runs[-1] = (runs[-1][0] + segment.text, style)
            elif segment.text:
                runs.append((segment.text, style))
        lines.append(tuple(runs))
    return Picture(tuple(lines))


# ------------------------------------------------------------ text form


def write(pictures: Mapping[str, Picture]) -> str:
    """Pictures of one screen by look."""
    out: list[str] = []
    texts: dict[tuple[str, ...], list[str]] = {}
    for look, picture in pictures.items():
        texts.setdefault(tuple(picture.text), []).append(look)
    for text, looks in texts.items():
        out += [f"== text {' '.join(looks)}", *(line + "|" for line in text)]
    for look, picture in pictures.items():
        names: dict[str, str] = {}
        runs = [_run_line(at, line, names) for at, line in enumerate(picture.lines, 1)]
        out += [f"== style {look}", *(f"{name} {style}" for style, name in names.items()), *runs]
    return "\n".join(out) + "\n"


def _run_line(number: int, line: tuple[Run, ...], names: dict[str, str]) -> str:
    runs = []
    for text, style in line:
        if style not in names:
            names[style] = _letters(len(names))
        runs.append(f"{len(text)}{names[style]}")
    return f"{number} {''.join(runs)}"


def _letters(at: int) -> str:
    """a ... z, aa, ab ..."""
    tail = chr(ord("a") + at % 26)
    return _letters(at // 26 - 1) + tail if at >= 26 else tail


def read(content: str) -> dict[str, Picture]:
    """The pictures that `write` has written."""
    texts: dict[str, list[str]] = {}
    pictures: dict[str, Picture] = {}
    for section in re.split(r"^== ", content, flags=re.MULTILINE)[1:]:
        head, *body = section.removesuffix("\n").split("\n")
        kind, *looks = head.split(" ")
        if kind == "text":
            for look in looks:
                texts[look] = [line.removesuffix("|") for line in body]
        else:
            pictures[looks[0]] = _styled(texts[looks[0]], body)
    return pictures


def _styled(text: list[str], body: list[str]) -> Picture:
    styles: dict[str, str] = {}
    lines = []
    for entry in body:
        name, _, value = entry.partition(" ")
        if not name.isdigit():
            styles[name] = value
            continue
        line, at, runs = text[int(name) - 1], 0, []
        for count, style in re.findall(r"(\d+)([a-z]+)", value):
            runs.append((line[at : at + int(count)], styles[style]))
            at += int(count)
        lines.append(tuple(runs))
    return Picture(tuple(lines))


# ------------------------------------------------------------ to look at


def svg(picture: Picture, title: str) -> str:
    """The picture as SVG; equal pictures give equal bytes."""
    width = max((sum(len(text) for text, _ in line) for line in picture.lines), default=1)
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", record=True,
        legacy_windows=False, _environ={},
    )  # fmt: skip
    for line in picture.lines:
        segments = [Segment(text, Style.parse(style)) for text, style in line]
        console.print(Segments([*segments, Segment.line()]), end="")
    return console.export_svg(title=title, unique_id="tokentop")


def differences(old: Picture, new: Picture, most: int = 6) -> list[str]:
    """The first lines that differ: their characters, or, where those are the same, the styles."""
    found = []
    if len(old.lines) != len(new.lines):
        found.append(f"{len(old.lines)} lines before, {len(new.lines)} now")
    for number, (before, now) in enumerate(zip(old.lines, new.lines, strict=False), 1):
        if before == now:
            continue
        was, is_now = ("".join(text for text, _ in line).rstrip() for line in (before, now))
        if was != is_now:
            found += [f"line {number} was {was!r}", f"line {number} is  {is_now!r}"]
            continue
        pairs = [(a, b) for a, b in zip(before, now, strict=False) if a != b]
        (text, style), (_, new_style) = pairs[0]
        found.append(f"line {number}, {text!r}: was {style}, is {new_style}")
    return [*found[:most], f"... and {len(found) - most} more"] if len(found) > most else found
