"""`tokentop hook run statusline`: what Claude Code tells its status line command about plan limits is kept.

Claude Code runs it at most every 300 ms and may kill it at any moment: no lock, no database, no network, few
imports, and then the user's own status line takes the place of this process. Nothing here may break that line.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Mapping
from typing import Any

from .clock import now_ms
from .places import claude_dir, state_dir

MAX_BYTES = 1 << 20
FOLDER = "limits"  # the inbox, below the state directory: one file for each of Claude Code's folders
WRAPPED = "hooks"  # what was there before, by the same name
_ONCE = "TOKENTOP_STATUSLINE"  # set for the wrapped command: if that is tokentop again, it ends


def run_statusline(environ: Mapping[str, str]) -> int:
    """Keep the limits of the JSON on stdin, then become the status line that was there before.

    Returns 0 where there is none, or none that can be run.
    """
    data = b""
    try:
        data = _read(0)
        keep(data, environ, now_ms())
    except Exception:  # noqa: S110 - the agent's screen must not change for a fault of ours
        pass
    with contextlib.suppress(Exception):
        _wrapped(data, environ)
    return 0


def keep(data: bytes, environ: Mapping[str, str], at_ms: int) -> bool:
    """Write the limits in `data` into the inbox; False if there are none, then what was known stays."""
    document = json.loads(data)
    limits = limits_of(document)
    if not limits:
        return False
    version = document.get("version")
    found = {
        "v": 1,
        "at_ms": at_ms,
        "account": _account(environ),
        "version": version[:40] if isinstance(version, str) else "",
        "limits": limits,
    }
    folder = state_dir(environ) / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name_of(environ)}.json"
    part = (
        folder / f".{name_of(environ)}.{os.getpid()}"
    )  # a hook that is killed leaves this behind, and no more
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, json.dumps(found).encode())
    finally:
        os.close(descriptor)
    os.replace(part, path)
    return True


def limits_of(document: Any) -> dict[str, dict[str, float | str]]:
    """The members of `rate_limits` that have a usable percentage, by name: `used_percentage`, `resets_at`, `period`."""
    given = document.get("rate_limits") if isinstance(document, dict) else None
    out: dict[str, dict[str, float | str]] = {}
    for name, member in given.items() if isinstance(given, dict) else ():
        if not isinstance(member, dict) or not _is_number(member.get("used_percentage"), 10_000):
            continue
        one: dict[str, float | str] = {"used_percentage": member["used_percentage"]}
        if _is_number(member.get("resets_at"), 1e11):
            one["resets_at"] = member["resets_at"]
        if isinstance(member.get("period"), str):
            one["period"] = member["period"][:20]
        out[name[:40]] = one
    return out


def _is_number(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def name_of(environ: Mapping[str, str]) -> str:
    """`claude-<hash of its folder>`: the name of the files of one login."""
    folder = os.path.abspath(claude_dir(environ))
    return f"claude-{zlib.crc32(os.fsencode(folder)):08x}"


def _account(environ: Mapping[str, str]) -> str:
    """ "" for the usual folder, else the name of the one that Claude Code was started with."""
    folder = environ.get("CLAUDE_CONFIG_DIR", "")
    home = environ.get("HOME") or os.path.expanduser("~")
    if not folder or os.path.abspath(folder) == os.path.join(home, ".claude"):
        return ""
    return os.path.basename(os.path.abspath(folder))[:40]


def _read(descriptor: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= MAX_BYTES and (part := os.read(descriptor, 1 << 16)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _wrapped(data: bytes, environ: Mapping[str, str]) -> None:
    """Become the former status line: same input, its output, its exit status, its signals."""
    if environ.get(_ONCE):
        return
    known = json.loads((state_dir(environ) / WRAPPED / f"{name_of(environ)}.json").read_bytes())
    command = known.get("former")
    if not isinstance(command, str) or not command:
        return
    os.environ[_ONCE] = "1"
    if os.name == "nt":
        import subprocess

        done = subprocess.run(command, shell=True, input=data, check=False)  # noqa: S602 - the user's own command
        raise SystemExit(done.returncode)
    _feed(data)
    os.execv("/bin/sh", ["sh", "-c", command])  # noqa: S606


def _feed(data: bytes) -> None:
    """Make `data` the standard input of what comes next; a file, so that nobody waits for a reader."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("statusline")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    with os.fdopen(os.dup(descriptor), "wb") as out:
        out.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.dup2(descriptor, 0)
    os.close(descriptor)
