"""Changing the settings file in place: comments, order and everything that is not changed stay as they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from .config import Settings, SettingsError
from .edit import EditError, set_value
from .load import parse, read_file
from .written import render_default

Name = tuple[str, ...]  # ("theme",) or ("rules", "burn_rate", "on")


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
    try:
        for setting, value in changes.items():
            text = set_value(text, setting, value)
    except EditError as error:
        raise SettingsError(f"{name}: {error}") from None
    parse(text, name)
    return text


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


def _read(path: Path) -> str | None:
    try:
        return read_file(path).decode()
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
