"""`tokentop hook install|remove statusline`: Claude Code's settings are changed only after the change was shown."""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokentop import hook
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.places import claude_dir, state_dir

from .files import replace_file

_MARK = "hook run statusline"
_KEY = "statusLine"


def install(environ: Mapping[str, str], *, yes: bool, dry_run: bool) -> int:
    """Put tokentop before the status line command; what is there is kept and goes on working."""
    path = _settings(environ)
    text = _read(path)
    settings = _parsed(path, text)
    former = _command(path, settings)
    if former is not None and _MARK in former:
        print(f"{path}: already installed")
        return 0
    command = _own_command(environ)
    changed = dict(settings)
    given = settings.get(_KEY)
    changed[_KEY] = {**(given if isinstance(given, dict) else {"type": "command"}), "command": command}
    new = _rewritten(text, settings, changed)
    if not _agreed(path, text, new, yes=yes, dry_run=dry_run):
        return 0
    record = _record(environ)
    record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # First what is needed to restore and to pass on, then the change itself.
    replace_file(record, json.dumps({"settings": str(path), "former": former, "installed": command}), 0o600)
    replace_file(path, new)
    print(f"{path}: installed; new sessions of Claude Code tell their limits from the first answer on")
    if settings.get("disableAllHooks") is True:
        print("disableAllHooks is true in these settings: Claude Code runs no status line until it is off")
    return 0


def remove(environ: Mapping[str, str], *, yes: bool, dry_run: bool) -> int:
    """Put back what was there before."""
    path = _settings(environ)
    text = _read(path)
    settings = _parsed(path, text)
    present = _command(path, settings)
    record = _record(environ)
    if present is None or _MARK not in present:
        record.unlink(missing_ok=True)
        raise NothingMatched(f"{path}: the status line is not tokentop's; nothing was changed")
    former = None
    if record.exists():
        former = json.loads(record.read_bytes()).get("former")
    changed = {name: value for name, value in settings.items() if name != _KEY}
    if isinstance(former, str) and former:
        changed = {**settings, _KEY: {**settings[_KEY], "command": former}}
    new = _rewritten(text, settings, changed)
    if not _agreed(path, text, new, yes=yes, dry_run=dry_run):
        return 0
    replace_file(path, new)
    record.unlink(missing_ok=True)
    print(f"{path}: removed" + ("; the former status line is back" if former else ""))
    return 0


def _settings(environ: Mapping[str, str]) -> Path:
    return claude_dir(environ) / "settings.json"


def _record(environ: Mapping[str, str]) -> Path:
    return state_dir(environ) / hook.WRAPPED / f"{hook.name_of(environ)}.json"


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: not UTF-8 text; nothing was changed") from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise Failure(f"{path}: not JSON ({error}); nothing was changed") from error
    if not isinstance(found, dict):
        raise Failure(f"{path}: no JSON object; nothing was changed")
    return found


def _command(path: Path, settings: dict[str, Any]) -> str | None:
    """The present status line command, None without one."""
    given = settings.get(_KEY)
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("command"), str):
        raise Failure(f"{path}: {_KEY} has a form that is not known here; nothing was changed")
    command: str = given["command"]
    return command


def _own_command(environ: Mapping[str, str]) -> str:
    """How Claude Code calls this tokentop; with the state directory where it is not the usual one."""
    found = shutil.which("tokentop")
    start = [found] if found else [sys.executable, "-m", "tokentop"]
    named = environ.get("TOKENTOP_STATE_DIR")
    where = [f"TOKENTOP_STATE_DIR={shlex.quote(os.path.abspath(os.path.expanduser(named)))}"] if named else []
    return " ".join([*where, shlex.join(start), _MARK])


def _rewritten(text: str, settings: dict[str, Any], changed: dict[str, Any]) -> str:
    """The file with as little changed as can be; written anew where its form does not allow that."""
    old, new = settings.get(_KEY), changed.get(_KEY)
    tries: list[str] = []
    if old is not None and new is not None:
        command = json.dumps(new["command"], ensure_ascii=False)
        literals = {json.dumps(old["command"]), json.dumps(old["command"], ensure_ascii=False)}
        tries += [text.replace(one, command) for one in literals if text.count(one) == 1]
    elif new is not None and text.rstrip().endswith("}") and settings:
        body = text.rstrip()[:-1].rstrip()
        tries.append(f"{body},{_own_lines(text, new)}")
    indent = _indent(text)
    tries.append(json.dumps(changed, indent=indent, ensure_ascii=False) + "\n")
    return next(one for one in tries if _same(one, changed))


def _own_lines(text: str, new: dict[str, Any]) -> str:
    """The new member, written as the others are, and the end of the file."""
    tail = text[len(text.rstrip()) :]
    if "\n" not in text.strip():
        return f' "{_KEY}": {json.dumps(new, ensure_ascii=False)}}}{tail}'
    indent = _indent(text)
    member = json.dumps({_KEY: new}, indent=indent, ensure_ascii=False)[1:-1].rstrip()
    return f"{member}\n}}{tail}"


def _indent(text: str) -> int | str:
    found = re.search(r'^([ \t]+)"', text, re.MULTILINE)
    if found is None:
        return 2
    return "\t" if "\t" in found[1] else len(found[1])


def _same(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(text) == wanted)
    except ValueError:
        return False


def _agreed(path: Path, old: str, new: str, *, yes: bool, dry_run: bool) -> bool:
    """Show the exact change; ask, unless it was agreed to beforehand."""
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), str(path), f"{path} (new)", lineterm="", n=2
    )
    print("\n".join(_shown(line) for line in lines))
    if dry_run:
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            "this changes a settings file of Claude Code: add --yes to agree, or --dry-run to look"
        )
    print("Write this? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    print("nothing was changed")
    return False


def _shown(line: str) -> str:
    """A line of the file as it may be put on a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
