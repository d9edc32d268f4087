"""Keys: where they may be kept, in which order they are looked for, and a type that never shows them.

Order: `$TOKENTOP_<PROVIDER>_KEY`, the vendor's own variables, `key_command`, the system's keyring where the package
is installed, `secrets.toml` beside config.toml. Nothing is read from the current directory.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import importlib
import importlib.util
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from tokentop.places import config_path
from tokentop.text import is_key

from .config import ProviderSettings

SECRETS = "secrets.toml"
_COMMAND_S = 30.0
_MOST_BYTES = 65_536
_MOST_CHARS = 4096
_SHOWN_FROM = 20  # of a shorter key four characters would tell too much


class Secret:
    """A key. Text of any kind (`str`, `repr`, `format`) is `***`; only `reveal` gives it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key itself: for the header of a request to the host that it belongs to, and nothing else."""
        return self._text

    @property
    def account(self) -> str:
        """What stands for the key in the store: 12 hex digits of its SHA-256."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:12]

    @property
    def tail(self) -> str:
        """The last four characters of a key that is long enough, "" of another."""
        return self._text[-4:] if len(self._text) >= _SHOWN_FROM else ""

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self.account)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


class Found(Struct, frozen=True):
    """What the search for a key ended with. `secret` None = none; `problem` says what stands in the way."""

    secret: Secret | None = None
    origin: str = ""  # "$OPENAI_ADMIN_KEY", "key_command", "keyring", "secrets.toml"
    problem: str = ""


class SecretsFile(Struct, frozen=True):
    """The keys of `secrets.toml` by provider, or why it was refused."""

    keys: dict[str, Secret] = {}
    problem: str = ""


def variables(provider: str, vendor: Sequence[str]) -> tuple[str, ...]:
    """The environment variables that a key of the provider is looked for in, in their order."""
    return (f"TOKENTOP_{provider.upper()}_KEY", *vendor)


def secrets_path(environ: Mapping[str, str]) -> Path:
    return config_path(environ).parent / SECRETS


def find(
    provider: str,
    vendor: Sequence[str],
    settings: ProviderSettings,
    environ: Mapping[str, str],
    *,
    ask: bool = True,
) -> Found:
    """Look for the key of a provider. Never raises. Blocks while `key_command` or the keyring is asked; without
    `ask` they are not."""
    for name in variables(provider, vendor):
        if environ.get(name):
            return _checked(environ[name], f"${name}")
    if settings.key_command and not ask:
        return Found(origin="key_command")
    if settings.key_command:
        return _from_command(settings.key_command, provider, vendor, environ)
    in_ring = _from_keyring(provider) if ask else None
    if in_ring is not None:
        return _checked(in_ring, "keyring")
    file = read_secrets(secrets_path(environ))
    if provider in file.keys:
        return Found(file.keys[provider], SECRETS)
    return Found(problem=file.problem)


def _checked(text: str, origin: str) -> Found:
    text = text.strip()
    if not is_key(text) or len(text) > _MOST_CHARS:
        return Found(origin=origin, problem=f"what {origin} gives is not a key")
    return Found(Secret(text), origin)


def _from_command(
    command: Sequence[str], provider: str, vendor: Sequence[str], environ: Mapping[str, str]
) -> Found:
    """Run the user's own command; what it says on stderr may hold anything and goes nowhere."""
    import subprocess

    hidden = set(variables(provider, vendor))
    own = {name: value for name, value in environ.items() if name not in hidden}
    argv = [os.path.expanduser(command[0]), *command[1:]]
    problem = ""
    printed = b""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command, from the user's own settings
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=own,
            timeout=_COMMAND_S, check=False, cwd="/",
        )  # fmt: skip
        if done.returncode:
            problem = f"key_command ended with status {done.returncode}"
        printed = done.stdout[:_MOST_BYTES]
    except subprocess.TimeoutExpired:
        problem = f"key_command did not end within {_COMMAND_S:.0f} s"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a command"
        problem = f"key_command cannot be run: {reason}"
    if problem:
        return Found(origin="key_command", problem=problem)
    lines = printed.decode("utf-8", "replace").split("\n", 1)
    return _checked(lines[0], "key_command")


def _from_keyring(provider: str) -> str | None:
    """The keyring's password "tokentop", user <provider>; None where there is no keyring or no such entry."""
    if importlib.util.find_spec("keyring") is None:
        return None
    try:
        found = importlib.import_module("keyring").get_password("tokentop", provider)
    except Exception:  # without a desktop session it raises what its backends please
        return None
    return found if isinstance(found, str) and found else None


def read_secrets(path: Path) -> SecretsFile:
    """Read `secrets.toml`: `<provider> = "<key>"`. Refused unless it is the user's own regular file, mode 0600."""
    import tomllib

    flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return SecretsFile()
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        return SecretsFile(problem=f"{path} is not read: {reason}")
    problem = unsafe(os.fstat(descriptor), path)
    if problem:
        os.close(descriptor)
        return SecretsFile(problem=problem)
    with open(descriptor, "rb") as file:
        raw = file.read(_MOST_BYTES)
    line = 0
    table: dict[str, object] = {}
    try:
        table = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        line = 1  # the parser's words could quote a key
    if line:
        return SecretsFile(problem=f'{path} is not valid TOML; it holds lines such as: openai = "..."')
    found = {name: _checked(value, SECRETS).secret for name, value in table.items() if isinstance(value, str)}
    return SecretsFile({name: secret for name, secret in found.items() if secret is not None})


def unsafe(about: os.stat_result, path: Path) -> str:
    if not stat.S_ISREG(about.st_mode):
        return f"{path} is not read: it is not a regular file"
    if hasattr(os, "getuid") and about.st_uid != os.getuid():
        return f"{path} is not read: it belongs to another user"
    if os.name == "posix" and about.st_mode & 0o077:
        return f"{path} is not read: others can read it; run: chmod 600 {path}"
    return ""


def signature(environ: Mapping[str, str]) -> tuple[int, int, int]:
    """Changes when `secrets.toml` has changed."""
    try:
        about = secrets_path(environ).lstat()
    except OSError:
        return 0, 0, 0
    return about.st_ino, about.st_mtime_ns, about.st_size


def keep(path: Path, provider: str, secret: Secret) -> None:
    """Write the key into `secrets.toml`, mode 0600, beside the keys that are there. Raises OSError, ValueError."""
    known = read_secrets(path)
    if known.problem:
        raise ValueError(known.problem)
    keys = known.keys | {provider: secret}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{SECRETS}.part")
    part.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(part, flags, 0o600), "w", encoding="ascii") as file:
        for name, key in sorted(keys.items()):
            file.write(f"{name} = {_quoted(key)}\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _quoted(secret: Secret) -> str:
    escaped = secret.reveal().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
