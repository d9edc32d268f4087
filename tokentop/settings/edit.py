"""Change one setting in the text of a TOML file and keep everything else: comments, order, blank lines. Pure.

The result is checked: read as TOML it is the old content with that one setting changed, or `EditError` is raised.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_HEADER = re.compile(r"^\s*\[(?!\[)([^\n]*?)\]\s*(?:#.*)?$")
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


class EditError(Exception):
    """The file cannot be changed line by line; the message says in one line why."""


def set_value(text: str, path: tuple[str, ...], value: object) -> str:
    """Return `text` with the setting `path` at `value` (bool, int, float, str, or a list of these).

    An existing line is changed where it stands, else a line is added to its table, under its commented-out default
    where there is one. None takes the setting out. Raises EditError.
    """
    old = _load(text)
    wanted = _with(old, path, value)
    if wanted == old:
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    spot = _find(lines, path)
    if spot is not None:
        first, last = spot
        changed = [] if value is None else [_replaced(lines[first : last + 1], value)]
        lines[first : last + 1] = changed
    elif value is not None:
        _insert(lines, path, f"{_key(path[-1])} = {to_toml(value)}")
    new = newline.join(lines) + newline
    if _content(new) != wanted:
        raise EditError(f"{'.'.join(path)} stands in a form that is not changed by line; edit it by hand")
    return new


def to_toml(value: object) -> str:
    """A value as TOML; text is quoted and escaped."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_escaped(c) for c in value) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(to_toml(one) for one in value)}]"
    raise EditError(f"a {type(value).__name__} is no setting")


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return char if ord(char) >= 32 and char != "\x7f" else f"\\u{ord(char):04x}"


def _load(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EditError(f"not TOML: {error}") from None


def _content(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _with(table: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """A copy of the content with one setting changed; a table that becomes empty stays."""
    out = dict(table)
    if len(path) == 1:
        if value is None:
            out.pop(path[0], None)
        else:
            out[path[0]] = list(value) if isinstance(value, tuple) else value
        return out
    inner = out.get(path[0], {})
    if not isinstance(inner, dict):
        raise EditError(f"{path[0]} is no table")
    if value is None and path[0] not in out:
        return out
    out[path[0]] = _with(inner, path[1:], value)
    return out


def _key(name: str) -> str:
    return name if _BARE.match(name) else to_toml(name)


def _names(dotted: str) -> tuple[str, ...]:
    """The parts of a (dotted) key as written; () where it is none."""
    try:
        table: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while isinstance(table, dict) and len(table) == 1:
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)


def _find(lines: list[str], path: tuple[str, ...]) -> tuple[int, int] | None:
    """(first line, last line) of the assignment of a setting."""
    at = 0
    table: tuple[str, ...] = ()
    while at < len(lines):
        line = lines[at]
        header = _HEADER.match(line)
        if header:
            table = _names(header[1])
        elif line.lstrip().startswith("[["):
            table = ("\0",)
        elif "=" in line and not line.lstrip().startswith("#"):
            last = _end(lines, at)
            if (*table, *_names(line.partition("=")[0])) == path:
                return at, last
            at = last
        at += 1
    return None


def _end(lines: list[str], first: int) -> int:
    """The last line of the assignment that begins at `first`: arrays and long strings go over several."""
    for last in range(first, min(len(lines), first + 500)):
        try:
            tomllib.loads("\n".join(lines[first : last + 1]))
        except tomllib.TOMLDecodeError:
            continue
        return last
    return first


def _replaced(old: list[str], value: object) -> str:
    """The assignment with another value, and the comment behind it."""
    key, _, _ = old[0].partition("=")
    last, comment = old[-1], ""
    for place, char in enumerate(last):
        if char == "#" and _is_toml([*old[:-1], last[:place]]):
            before = last[:place]
            comment = before[len(before.rstrip()) :] + last[place:]
            break
    return f"{key.rstrip()} = {to_toml(value)}{comment}"


def _is_toml(lines: list[str]) -> bool:
    try:
        tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _insert(lines: list[str], path: tuple[str, ...], assignment: str) -> None:
    """Add a setting that is not there: in its table, else in a new one at the end."""
    first, last = _section(lines, path[:-1])
    if first < 0:
        if lines and lines[-1].strip():
            lines.append("")
        lines += [f"[{'.'.join(_key(name) for name in path[:-1])}]", assignment]
        return
    default = re.compile(rf"^\s*#\s*{re.escape(_key(path[-1]))}\s*=")
    for at in range(first, last):
        if default.match(lines[at]):
            lines.insert(at + 1, assignment)
            return
    while last > first and not lines[last - 1].strip():
        last -= 1
    lines.insert(last, assignment)


def _section(lines: list[str], table: tuple[str, ...]) -> tuple[int, int]:
    """(first line, line after the last) of what stands in a table, (-1, -1) if there is no such table."""
    first = 0 if not table else -1
    at = 0
    while at < len(lines):
        header = _HEADER.match(lines[at])
        if header or lines[at].lstrip().startswith("[["):
            if first >= 0:
                return first, at
            if header and _names(header[1]) == table:
                first = at + 1
        elif "=" in lines[at] and not lines[at].lstrip().startswith("#"):
            at = _end(lines, at)
        at += 1
    return (first, len(lines)) if first >= 0 else (-1, -1)
