"""Switching a provider on in the settings, with consent where that is needed, and storing its key."""

from __future__ import annotations

import os
import sys
import textwrap
from pathlib import Path

from tokentop.errors import Failure, UsageError
from tokentop.places import config_path
from tokentop.polling.keys import is_on, where_keys_are
from tokentop.providers.base import Provider
from tokentop.settings import credentials
from tokentop.settings.credentials import Secret
from tokentop.settings.load import load, parse
from tokentop.text import is_key


def enable(provider: Provider) -> int:
    """Append the provider's table to config.toml. A private one asks first; its yes is written down with it."""
    settings = load(os.environ)
    path = config_path(os.environ)
    own = settings.providers.get(provider.id)
    lines = [f"[providers.{provider.id}]", "on = true"]
    if provider.private_risk:
        lines.append("i_accept_the_risk = true")
    if own is not None and is_on(provider, own):
        print(f"{provider.id} is on already")
        return 0
    if provider.private_risk and not _accepted(provider, lines, path):
        print("nothing was changed")
        return 1
    if own is not None:
        raise Failure(f"[providers.{provider.id}] is in {path} already: set {' and '.join(lines[1:])} there")
    _append(path, "\n".join(lines) + "\n")
    print(f"{provider.id} is on in {path}; it needs {provider.needs}")
    if not provider.private_risk:
        print(f"key: {where_keys_are(provider)}")
    if provider.account_is:
        print(f"account: set it to {provider.account_is}")
    return 0


def _accepted(provider: Provider, lines: list[str], path: Path) -> bool:
    """Show the risk and take nothing but a typed yes."""
    print(textwrap.fill(provider.private_risk, 100), file=sys.stderr)
    if not sys.stdin.isatty():
        raise UsageError(f"nobody can be asked here; to accept this, write into {path}: {'; '.join(lines)}")
    print("Type yes to accept this: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


def _append(path: Path, block: str) -> None:
    """Add to the end of the settings, written beside and renamed; what would not be understood is not written."""
    try:
        old = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        old, mode = "", 0o600
    new = old + ("" if not old or old.endswith("\n") else "\n") + ("\n" if old else "") + block
    parse(new, str(path))
    path = path.resolve()  # a link stays one
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(part, flags, mode), "w", encoding="utf-8") as file:
        file.write(new)
    part.replace(path)


def store_key(provider: Provider) -> int:
    """Take a key from standard input, never from the command line, into secrets.toml."""
    if provider.key_file is not None:
        raise UsageError(f"{provider.id} uses {provider.needs}: there is no key to store")
    if sys.stdin.isatty():
        import getpass

        text = getpass.getpass(f"key of {provider.label} (not shown): ")
    else:
        text = sys.stdin.readline(8192)
    text = text.strip()
    if not is_key(text):
        raise UsageError("that is not a key: one word is wanted on standard input")
    path = credentials.secrets_path(os.environ)
    problem = ""
    try:
        credentials.keep(path, provider.id, Secret(text))
    except (OSError, ValueError) as error:
        problem = str(error) if isinstance(error, ValueError) else f"{path}: {error.strerror}"
    if problem:
        raise Failure(problem)
    print(f"stored in {path}")
    return 0
