"""Changing the settings file in place: comments, order and everything that is not changed stay as they are."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from .config import Settings, SettingsError, parse, render_default, toml_value

Name = tuple[str, ...]  # ("theme",) or ("rules", "burn_rate", "on")
_HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*(#.*)?$")
_COMMENTED_HEADER = re.compile(r"^\s*#\s*\[([^\[\]]+)\]\s*$")


class Found(Struct, frozen=True):
    """What the file says."""

    settings: Settings
    given: frozenset[Name]  # settings that stand in the file; every other has its default


def look(path: Path) -> Found:
    """Read the file; without one, the defaults. Raises SettingsError."""
    text = _read(path)
    if text is None:
        return Found(Settings(), frozenset())
    settings = parse(text, str(path))
    import tomllib

    return Found(settings, frozenset(_names(tomllib.loads(text))))


def save(path: Path, changes: Mapping[Name, object]) -> Settings:
    """Write the changes, all or none; returns what the file says now. Raises SettingsError with one line."""
    text = _read(path)
    new = changed(render_default() if text is None else text, changes, str(path))
    _replace(path, new)
    return parse(new, str(path))


def changed(text: str, changes: Mapping[Name, object], name: str = "config.toml") -> str:
    """`text` with these settings; raises SettingsError where one is refused or cannot be set line by line."""
    lines = text.splitlines()
    for setting, value in changes.items():
        _set(lines, setting, toml_value(value))
    new = "\n".join(lines) + "\n"
    settings = parse(new, name)
    for setting, value in changes.items():
        if value_of(settings, setting) != value:
            raise SettingsError(
                f"{name}: {'.'.join(setting)} is written in a way that only an editor can change"
            )
    return new


def value_of(settings: Settings, setting: Name) -> Any:
    """The value of one setting."""
    found: Any = settings
    for part in setting:
        found = getattr(found, part)
    return found


def _names(table: Mapping[str, Any], above: Name = ()) -> list[Name]:
    out: list[Name] = []
    for key, value in table.items():
        out.append((*above, key))
        if isinstance(value, dict):
            out += _names(value, (*above, key))
    return out


def _set(lines: list[str], setting: Name, value: str) -> None:
    """Replace the line of a setting; else the comment that shows its default; else add one."""
    *table, key = setting
    span = _span(lines, ".".join(table))
    if span is None:
        if lines and lines[-1].strip():
            lines.append("")
        lines += [f"[{'.'.join(table)}]", f"{key} = {value}"]
        return
    start, end = span
    for pattern in (
        rf"^(\s*)({re.escape(key)}\s*=\s*)(?:\"[^\"]*\"|'[^']*'|[^#\"']*?)(\s*#.*)?$",
        rf"^(\s*)#\s*({re.escape(key)}\s*=\s*)(?:\"[^\"]*\"|[^#\"]*?)(\s*#.*)?$",
    ):
        for at in range(start, end):
            found = re.match(pattern, lines[at])
            if found:
                lines[at] = f"{found[1]}{found[2]}{value}{found[3] or ''}"
                return
    while end > start and not lines[end - 1].strip():
        end -= 1
    lines.insert(end, f"{key} = {value}")


def _span(lines: list[str], table: str) -> tuple[int, int] | None:
    """The lines of a table without its header; a header that is a comment is switched on."""
    heads = {at: found[1].replace(" ", "") for at, line in enumerate(lines) if (found := _HEADER.match(line))}
    if not table:
        return 0, min(heads, default=len(lines))
    start = next((at for at, name in heads.items() if name == table), None)
    if start is None:
        for at, line in enumerate(lines):
            found = _COMMENTED_HEADER.match(line)
            if found and found[1] == table:
                lines[at], start = f"[{table}]", at
                break
    if start is None:
        return None
    others = [*heads, *(at for at, line in enumerate(lines) if _COMMENTED_HEADER.match(line))]
    return start + 1, min((at for at in others if at > start), default=len(lines))


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None


def _replace(path: Path, text: str) -> None:
    """Beside the file, then over it: whoever reads sees the old or the new one. A link stays a link."""
    path = path.resolve()
    left = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        if path.exists() and not (mode & 0o222 and os.access(path, os.W_OK)):
            raise SettingsError(f"{path}: not saved: the file is read-only")
        handle, left = tempfile.mkstemp(dir=path.parent, prefix=".config-", suffix=".toml")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(left, mode)
        os.replace(left, path)
        left = None
    except OSError as error:
        raise SettingsError(f"{path}: not saved: {error.strerror or error}") from None
    finally:
        if left is not None:
            os.unlink(left)
