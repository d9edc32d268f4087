"""The token that agents send along: made once, kept in the state directory, mode 0600."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from tokentop.settings.credentials import unsafe

NAME = "telemetry-token"
_MOST = 200


class NoToken(OSError):
    """The token's file cannot be used; the message says why and never holds it."""


def path_of(folder: Path) -> Path:
    return folder / NAME


def token(folder: Path) -> str:
    """The token, made where there is none yet. Raises NoToken, OSError."""
    path = path_of(folder)
    with contextlib.suppress(FileExistsError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(path, flags, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise NoToken(f"{path} is not read: {error.strerror}") from None
    with open(descriptor, "rb") as file:
        if problem := unsafe(os.fstat(descriptor), path):
            raise NoToken(problem)
        found = file.read(_MOST).decode("ascii", "replace").strip()
    if len(found) < 32 or not found.isascii():
        raise NoToken(f"{path} holds no token: take it away, and a new one is made")
    return found
