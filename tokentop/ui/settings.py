"""What the settings screen lists: every setting with its meaning, value, default and origin. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tokentop.settings.config import Settings, SettingsError, TelemetrySettings
from tokentop.settings.edit import to_toml
from tokentop.settings.file import Found, Name, value_of
from tokentop.settings.load import parse
from tokentop.settings.rulebook import Notify, Rules, settings_of
from tokentop.settings.written import fields_of

AT_ONCE: frozenset[Name] = frozenset({("theme",), ("refresh_s",), ("ascii",)})


class Entry(Struct, frozen=True):
    """One line of the list."""

    name: Name
    kind: str  # bool, number, text, choice; "" = only the file can change it
    help: str
    default: object
    group: str = ""

    @property
    def label(self) -> str:
        return ".".join(self.name)


def entries() -> list[Entry]:
    """All settings in the order of the file; of rules the switch and the own limits."""
    out = []
    for field, text, default in fields_of(Settings()):
        if isinstance(default, Rules):
            out += list(_rules(default))
        elif isinstance(default, Notify | TelemetrySettings):
            out += [
                Entry((field, name), _kind(value), text, value, "notices" if field == "notify" else field)
                for name, text, value in fields_of(default)
            ]
        else:
            kind = "choice" if field == "theme" else _kind(default)
            out.append(Entry((field,), kind, text, default, "settings"))
    return out


def _rules(rules: Rules) -> Iterator[Entry]:
    for name, rule in rules.items():
        about = " ".join((type(rule).__doc__ or "").split())
        yield Entry(("rules", name, "on"), "bool", about, rule.on, "rules")
        for limit, value in settings_of(rule).items():
            yield Entry(("rules", name, limit), _kind(value), about, value, "rules")
    shared = [field for field, _, _ in fields_of(rules.session_cost) if field in ("ladder", "allow", "only")]
    text = f"Of each rule: {', '.join(shared)}, dry_run, cooldown_minutes, per_hour, countdown_s. See docs/rules.md."
    yield Entry(("rules",), "", text, None, "rules")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else ""


def shown(entry: Entry, value: Any) -> str:
    """A value as the list shows it."""
    if entry.name == ("rules",):
        return "in the file"
    if isinstance(value, dict | tuple):
        return f"{len(value)} in the file" if value else "none"
    if isinstance(value, Struct):
        return "in the file" if value != entry.default else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or "default"
    return f"{value:g}" if isinstance(value, float) else str(value)


def typed(entry: Entry, text: str) -> object:
    """What was typed as a value of the setting. Raises SettingsError with the reason."""
    value: object = text.strip()
    if entry.kind == "number":
        whole = isinstance(entry.default, int)
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            raise SettingsError(f"a {'whole ' if whole else ''}number is wanted") from None
    return checked(entry, value)


def checked(entry: Entry, value: object) -> object:
    """The value as the settings take it. Raises SettingsError with the reason."""
    *table, key = entry.name
    header = f"[{'.'.join(table)}]\n" if table else ""
    try:
        return value_of(parse(f"{header}{key} = {to_toml(value)}\n", ""), entry.name)
    except SettingsError as error:
        raise SettingsError(str(error).rpartition(": ")[2]) from None


def origin(entry: Entry, found: Found, overridden: Mapping[str, object]) -> str:
    """Where the present value comes from."""
    if len(entry.name) == 1 and entry.name[0] in overridden:
        return "command line"
    return "file" if entry.name in found.given else "default"


def current(
    entry: Entry, found: Found, changes: Mapping[Name, object], overridden: Mapping[str, object] | None = None
) -> Any:
    """The value with what has been changed on the screen, else on the command line."""
    if entry.name in changes:
        return changes[entry.name]
    if overridden and len(entry.name) == 1 and entry.name[0] in overridden:
        return overridden[entry.name[0]]
    return None if entry.name == ("rules",) else value_of(found.settings, entry.name)


def step(value: str, choices: Sequence[str], by: int) -> str:
    """The next choice, round the end."""
    at = choices.index(value) if value in choices else 0
    return choices[(at + by) % len(choices)]
