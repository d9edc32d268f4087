"""The settings file as Settings; an error is one line that names file, line and key.

The file is `$TOKENTOP_CONFIG`, else `config.toml` in the platform's user config directory. Nothing is
read from the current directory.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tokentop.places import config_path

from .checks import check_providers, line_of, refuse_nan, refuse_unknown, shown
from .config import Settings, SettingsError

_MOST_BYTES = 1 << 20


def load(environ: Mapping[str, str]) -> Settings:
    """Return the settings of the file; without a file the defaults. Raises `SettingsError`.

    A file that is named by `$TOKENTOP_CONFIG` must exist.
    """
    path = config_path(environ)
    try:
        raw = read_file(path)
    except FileNotFoundError:
        if environ.get("TOKENTOP_CONFIG"):
            raise SettingsError(
                f"{path}: no such file (named by TOKENTOP_CONFIG): make it, empty for the defaults,"
                " or unset TOKENTOP_CONFIG"
            ) from None
        return Settings()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None
    try:
        return parse(raw.decode(), str(path))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8 text") from None


def read_file(path: Path) -> bytes:
    """The bytes of a settings file; a pipe is never waited for and a device never read without an end. OSError."""
    if str(path) == os.devnull:
        return b""
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
            raise OSError(errno.EINVAL, "not a file")
        raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"larger than {_MOST_BYTES >> 20} MiB, which no settings are")
    return raw


def parse(text: str, name: str = "config.toml") -> Settings:
    """Return the settings in `text`. Raises `SettingsError` with one line that begins with `name`."""
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rpartition(" (at ")
        line = re.match(r"line (\d+)", place)
        number = line[1] if line else max(1, len(text.splitlines()))
        raise SettingsError(f"{name}, line {number}: {reason or error}") from None
    refuse_unknown(table, text, name)
    refuse_nan(table, (), text, name)
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        path = _named_path(table, place.rstrip("`"))
        raise SettingsError(f"{name}, {line_of(text, path)}: {'.'.join(path)}: {reason}") from None
    check_providers(settings, text, name)
    return settings


def _named_path(table: Any, place: str) -> tuple[str, ...]:
    """Turn `.prices[...].input` into names. msgspec hides the key of a dict: the first bad one is it."""
    names: list[str] = []
    current = table
    for part in re.findall(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+", place):
        if part == "[...]" and isinstance(current, dict):
            key = next((k for k in current if not _fits(names, current[k])), next(iter(current), ""))
        elif part.startswith("["):
            continue
        else:
            key = part
        names.append(shown(key))
        current = current.get(key) if isinstance(current, dict) else None
    return tuple(names)


def _fits(names: list[str], value: Any) -> bool:
    """Tell whether one entry of the named dict setting is valid."""
    try:
        msgspec.convert({names[0]: {"x": value}}, Settings)
    except msgspec.ValidationError:
        return False
    return True
