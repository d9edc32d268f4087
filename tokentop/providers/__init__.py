"""What providers say: one file each, found by listing this folder; `PROVIDER` is what it can be asked. Pure but for http.py."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module

from .base import Provider

_SHARED = frozenset({"base", "decoding", "http"})


@cache
def all_providers() -> tuple[Provider, ...]:
    """Every provider, by id."""
    found = {name.removesuffix(".py") for path in __path__ for name in os.listdir(path)}
    names = sorted(
        name for name in found if name.isidentifier() and not name.startswith("_") and name not in _SHARED
    )
    return tuple(import_module(f".{name}", __name__).PROVIDER for name in names)


def provider(provider_id: str) -> Provider:
    """The provider with that id; KeyError if there is none."""
    return {one.id: one for one in all_providers()}[provider_id]
