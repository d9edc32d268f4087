"""The providers that are switched on, each with the key that was found for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from tokentop.providers import all_providers
from tokentop.providers.base import Provider
from tokentop.providers.http import Target
from tokentop.settings import credentials
from tokentop.settings.addresses import is_near
from tokentop.settings.config import ProviderSettings
from tokentop.settings.credentials import Found, Secret

_MOST_BYTES = 1 << 20


class Held(Struct):
    """A provider with the key that was found for it."""

    provider: Provider
    settings: ProviderSettings
    target: Target | None = None
    found: Found = Found()
    headers: tuple[tuple[str, str], ...] = ()
    plan: str = ""  # that the login has, where its file names it
    signature: object = None
    looked_s: float = 0.0

    @property
    def account(self) -> str:
        return self.found.secret.account if self.found.secret is not None else ""


def chosen(settings: Mapping[str, ProviderSettings]) -> list[Held]:
    """The providers that are switched on; private ones only with consent."""
    return [
        Held(one, settings[one.id])
        for one in all_providers()
        if one.id in settings and is_on(one, settings[one.id])
    ]


def is_on(provider: Provider, settings: ProviderSettings) -> bool:
    return settings.on and (not provider.private_risk or settings.i_accept_the_risk)


def where_keys_are(provider: Provider) -> str:
    """Where a key of the provider is looked for, in words."""
    if provider.key_file is not None:
        return "its own client has to be logged in"
    names = " or ".join(f"${name}" for name in credentials.variables(provider.id, provider.variables))
    return f"set {names}, key_command, or tokentop providers key {provider.id}"


def find_key(held: Held, environ: Mapping[str, str], *, ask: bool = True) -> None:
    """Fill in the key and where it may be sent: the provider's own host, or what the user's settings name.

    Without `ask` no other program is asked for it.
    """
    provider, settings = held.provider, held.settings
    base_url = settings.base_url or provider.base_url
    headers: tuple[tuple[str, str], ...] = ()
    if provider.key_file is not None and settings.base_url and not is_near(urlsplit(base_url).hostname or ""):
        held.found = Found(problem="base_url is set: the login of another tool goes to its own host only")
    elif provider.key_file is not None:
        held.found, headers, held.plan = _owned_key(provider, environ)
    else:
        held.found = credentials.find(provider.id, provider.variables, settings, environ, ask=ask)
    if held.found.secret is not None and not base_url:
        held.found = replace(held.found, secret=None, problem="set base_url: where its API is")
    if held.found.secret is None:
        held.target = None
        return
    held.target = Target(
        base_url,
        held.found.secret,
        provider.header,
        provider.scheme,
        (*provider.headers, *headers),
        provider.gap_s,
    )


def owned_path(provider: Provider, environ: Mapping[str, str]) -> Path:
    """The file in which another tool keeps its token."""
    variable, default, name = provider.key_paths[0]
    home = environ.get("HOME") or os.path.expanduser("~")
    return Path(environ.get(variable) or os.path.join(home, default)) / name


def _owned_key(
    provider: Provider, environ: Mapping[str, str]
) -> tuple[Found, tuple[tuple[str, str], ...], str]:
    """Read a token that another tool owns. It is only read, and only by consent."""
    path = owned_path(provider, environ)
    assert provider.key_file is not None
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            raw = file.read(_MOST_BYTES)
    except OSError as error:
        return Found(problem=f"{path}: {error.strerror}"), (), ""
    credential = provider.key_file(raw)
    if not credential.token:
        return Found(origin=path.name, problem=f"{path}: {credential.problem}"), (), ""
    return Found(Secret(credential.token), path.name), credential.headers, credential.plan
