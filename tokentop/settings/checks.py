"""What a settings file must not have: unknown names, no numbers, addresses that a key must not go to."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .addresses import url_problem
from .config import OwnPrice, ProviderSettings, Settings, SettingsError, TelemetrySettings
from .rulebook import Notify, Rules
from .spending import LENGTH, Amounts, Budgets, Plan


def check_providers(settings: Settings, text: str, name: str) -> None:
    """A key goes where `base_url` says: over TLS, or to this machine, or to the private network of a LiteLLM proxy."""
    for provider, own in settings.providers.items():
        problem = url_problem(own.base_url, private_network=provider == "litellm") if own.base_url else ""
        if problem:
            path = ("providers", provider, "base_url")
            raise SettingsError(f"{name}, {line_of(text, path)}: {'.'.join(path)}: {problem}")


def refuse_unknown(table: Mapping[str, Any], text: str, name: str) -> None:
    _check_names(table, Settings.__struct_fields__, (), text, name)
    prices = table.get("prices")
    if isinstance(prices, dict):
        for model, price in prices.items():
            if isinstance(price, dict):
                _check_names(price, OwnPrice.__struct_fields__, ("prices", model), text, name)
    _check_provider_names(table, text, name)
    _check_budgets(table, text, name)
    plans = table.get("plans")
    for plan in plans if isinstance(plans, list) else ():
        if isinstance(plan, dict):
            _check_names(plan, Plan.__struct_fields__, ("plans",), text, name)
            _check_lengths(plan.get("windows"), text, name)
    for field, default in (("notify", Notify()), ("rules", Rules()), ("telemetry", TelemetrySettings())):
        given = table.get(field)
        if not isinstance(given, dict):
            continue
        _check_names(given, default.__struct_fields__, (field,), text, name)
        for rule, inner in given.items():
            if isinstance(inner, dict) and field == "rules":
                _check_names(inner, getattr(default, rule).__struct_fields__, (field, rule), text, name)


def _provider_ids() -> tuple[str, ...]:
    """The providers there are: one file each, which is not imported for its name."""
    names = (Path(__file__).parents[1] / "providers").iterdir()
    shared = ("base", "http")
    ids = {p.stem for p in names if p.suffix == ".py" and not p.stem.startswith("_") and p.stem not in shared}
    return tuple(sorted(ids))


def _check_provider_names(table: Mapping[str, Any], text: str, name: str) -> None:
    providers = table.get("providers")
    if isinstance(providers, dict):
        _check_names(providers, _provider_ids(), ("providers",), text, name)
        for provider, given in providers.items():
            if isinstance(given, dict):
                known = ProviderSettings.__struct_fields__
                _check_names(given, known, ("providers", provider), text, name)


def _check_budgets(table: Mapping[str, Any], text: str, name: str) -> None:
    budgets = table.get("budgets")
    if isinstance(budgets, dict):
        _check_names(budgets, Budgets.__struct_fields__, ("budgets",), text, name)
        for scope in ("projects", "agents"):
            named = budgets.get(scope)
            for one, amounts in named.items() if isinstance(named, dict) else ():
                if isinstance(amounts, dict):
                    _check_names(amounts, Amounts.__struct_fields__, ("budgets", scope, one), text, name)


def _check_lengths(windows: object, text: str, name: str) -> None:
    for length in windows if isinstance(windows, dict) else ():
        if not re.fullmatch(LENGTH, length):
            place = ("plans", "windows", length)
            raise SettingsError(
                f"{name}, {line_of(text, place)}: {shown('.'.join(place))}: a length such as 90m, 5h or 7d is wanted"
            )


def refuse_nan(value: object, path: tuple[str, ...], text: str, name: str) -> None:
    """TOML knows `nan`, and every comparison of a range lets it through."""
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_nan(inner, (*path, key), text, name)
    elif isinstance(value, list):
        for inner in value:
            refuse_nan(inner, path, text, name)
    elif isinstance(value, float) and math.isnan(value):
        raise SettingsError(f"{name}, {line_of(text, path)}: {shown('.'.join(path))}: not a number")


def _check_names(table: Mapping[str, Any], known: Any, above: tuple[str, ...], text: str, name: str) -> None:
    for key in table:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, list(known), 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            path = (*above, key)
            raise SettingsError(
                f"{name}, {line_of(text, path)}: unknown setting {shown('.'.join(path))!r}{hint}"
            )


def shown(key: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in key)[:80]


def line_of(text: str, path: tuple[str, ...]) -> str:
    """Return "line N" of the key; the line of its table where the key itself cannot be told."""
    lines = text.splitlines()
    found = 0
    for name in path:
        key = re.escape(name)
        pattern = re.compile(rf"""(?:^\s*|[.\[{{,]\s*)["']?{key}["']?\s*[=.\]]""")
        for number in range(found, len(lines)):
            if not lines[number].lstrip().startswith("#") and pattern.search(lines[number]):
                found = number
                break
    return f"line {found + 1}"
