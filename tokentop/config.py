"""Settings: one struct, one TOML file, defaults for everything.

The file is `$TOKENTOP_CONFIG`, else `config.toml` in the platform's user config directory. Nothing is
read from the current directory.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, structs

from .places import config_path, state_dir
from .rulebook import Notify, Rules
from .spending import LENGTH, Amounts, Budgets, Plan
from .telemetry import PORT

NUSD = 1_000_000_000
__all__ = [
    "Settings",
    "SettingsError",
    "config_path",
    "load",
    "local_zone",
    "parse",
    "render_default",
    "state_dir",
]
_UsdPerMillion = Annotated[float, Meta(ge=0, le=1e6)]


class SettingsError(Exception):
    """The settings file cannot be used; the message is one line that names file, line and key."""


class OwnPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """Your own price of a model in US dollars per million tokens; replaces the list price."""

    input: _UsdPerMillion
    output: _UsdPerMillion
    cache_read: _UsdPerMillion | None = None
    cache_write_5m: _UsdPerMillion | None = None
    cache_write_1h: _UsdPerMillion | None = None


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether and how a provider is asked for bills, balances and limits. See docs/providers.md."""

    on: Annotated[bool, Meta(description="Ask this provider; without it nothing is ever sent to it.")] = False
    key_command: Annotated[
        tuple[str, ...], Meta(description="A command that prints the key; run without a shell.")
    ] = ()
    base_url: Annotated[
        str, Meta(description="Where its API is, instead of its own host; the key is then sent there.")
    ] = ""
    account: Annotated[
        str, Meta(description="Team, organisation or user, where the provider needs one in the address.")
    ] = ""
    i_accept_the_risk: Annotated[
        bool, Meta(description="Private endpoints only: docs/providers.md says what the risk is.")
    ] = False


class TelemetrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether agents' telemetry is taken in. See docs/telemetry.md."""

    on: Annotated[bool, Meta(description="Listen on 127.0.0.1 for OTLP over HTTP with JSON.")] = False
    port: Annotated[int, Meta(ge=1, le=65_535, description="Where the agents send it.")] = PORT


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set. Field descriptions are the comments of the generated file."""

    refresh_s: Annotated[
        float,
        Meta(ge=0.25, le=10, description="Seconds between two pictures of the live screen, 0.25 to 10."),
    ] = 1.0
    theme: Annotated[str, Meta(description='Colour theme; "" = the default. The palette lists all.')] = ""
    ascii: Annotated[bool, Meta(description="Draw with ASCII characters only.")] = False
    mouse: Annotated[bool, Meta(description="Let the screen take the mouse.")] = True
    read_only: Annotated[bool, Meta(description="Take all actions (stop, freeze, kill) away.")] = False
    titles: Annotated[
        bool, Meta(description="Show session titles; they can quote your prompts. Without: the session id.")
    ] = True
    search_prompts: Annotated[
        bool,
        Meta(
            description="Let the history also be searched in prompts and replies, read from the agents' own logs and"
            " kept nowhere."
        ),
    ] = False
    day_budget_usd: Annotated[
        float,
        Meta(ge=0, le=1e9, description="The same as `day` in [budgets], which wins where both are set."),
    ] = 0.0
    runaway_usd_per_h: Annotated[
        float, Meta(ge=0, le=1e9, description="An agent that burns more is a runaway. 0 = no such alert.")
    ] = 50.0
    runaway_minutes: Annotated[
        float, Meta(ge=0, le=1440, description="... when it has burned that for so many minutes.")
    ] = 5.0
    no_progress_minutes: Annotated[
        float,
        Meta(
            ge=0, le=1440, description="Alert when an agent spends so long without changing a file. 0 = none."
        ),
    ] = 10.0
    context_pct: Annotated[
        float, Meta(ge=0, le=100, description="Alert when the context is this full, in per cent. 0 = none.")
    ] = 90.0
    retention_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="Drop the single calls of sessions that rest for longer; sums stay. 0 = keep them for ever.",
        ),
    ] = 0
    recording_mb: Annotated[
        int,
        Meta(
            ge=0, le=10_000, description="Room for the recorded live table, in megabytes. 0 = record nothing."
        ),
    ] = 64
    recording_full_hours: Annotated[
        int,
        Meta(ge=1, le=8_760, description="How long it is kept every 10 s; after that one a minute."),
    ] = 48
    survive_days: Annotated[
        int,
        Meta(ge=1, le=365, description="A line survived if it is still in the tree after so many days."),
    ] = 14
    outcome_s: Annotated[
        float,
        Meta(
            ge=1, le=3600, description="So many seconds at most `tokentop outcome` asks git and reads logs."
        ),
    ] = 20.0
    roots: Annotated[
        dict[str, list[str]],
        Meta(description="More folders with an agent's logs, by agent id; absolute or with ~."),
    ] = {}
    prices: Annotated[
        dict[str, OwnPrice],
        Meta(description="Your own prices by model, US dollars per million tokens."),
    ] = {}
    providers: Annotated[
        dict[str, ProviderSettings],
        Meta(
            description="Providers that are asked for bills, balances and limits, by id: none until on = true."
        ),
    ] = {}

    budgets: Annotated[
        Budgets,
        Meta(
            description="Budgets in US dollars of the day, week (from Monday) and month, of all and by name; alerts"
            " at 80 and 100 %."
        ),
    ] = Budgets()
    plans: Annotated[
        tuple[Plan, ...],
        Meta(
            description="Your subscriptions, one [[plans]] each: agent, name, account, fee_usd a month, windows = list value"
            " that each holds in US dollars, where nothing tells how full they are."
        ),
    ] = ()
    rules: Annotated[
        Rules,
        Meta(
            description="What is done about runaways, by rule; each is off until `on = true`. See docs/rules.md."
        ),
    ] = Rules()
    notify: Annotated[Notify, Meta(description="Where the notices of rules go beside the screen.")] = Notify()
    telemetry: Annotated[
        TelemetrySettings,
        Meta(description="What agents tell of themselves while they run. See docs/telemetry.md."),
    ] = TelemetrySettings()

    @property
    def all_budgets(self) -> Budgets:
        """The budgets, with the one of `day_budget_usd` in its place."""
        if self.budgets.day or not self.day_budget_usd:
            return self.budgets
        return structs.replace(self.budgets, day=self.day_budget_usd)

    @property
    def runaway_nusd_per_h(self) -> int:
        return round(self.runaway_usd_per_h * NUSD)

    @property
    def no_progress_ms(self) -> int:
        return round(self.no_progress_minutes * 60_000)

    @property
    def runaway_ms(self) -> int:
        return round(self.runaway_minutes * 60_000)


_EXAMPLES = {
    "budgets": "# day = 200\n# week = 800\n# month = 3000\n# projects = { api = 50, web = { month = 400 } }\n"
    "# agents = { claude = 100 }",
    "plans": '# agent = "claude"\n# name = "Max 5x"\n# fee_usd = 100\n# windows = { 5h = 35, 7d = 300 }',
    "roots": 'claude = ["~/.claude-work"]',
    "prices": '"my-model" = { input = 3.0, output = 15.0, cache_read = 0.3 }',
    "providers": 'anthropic = { on = true, key_command = ["pass", "show", "anthropic-admin"] }',
}


def load(environ: Mapping[str, str]) -> Settings:
    """Return the settings of the file; without a file the defaults. Raises `SettingsError`.

    A file that is named by `$TOKENTOP_CONFIG` must exist.
    """
    path = config_path(environ)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if environ.get("TOKENTOP_CONFIG"):
            raise SettingsError(f"{path}: no such file (named by TOKENTOP_CONFIG)") from None
        return Settings()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from None
    try:
        return parse(raw.decode(), str(path))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8 text") from None


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
    _refuse_unknown(table, text, name)
    _refuse_nan(table, (), text, name)
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        path = _named_path(table, place.rstrip("`"))
        raise SettingsError(f"{name}, {_line(text, path)}: {'.'.join(path)}: {reason}") from None
    _check_providers(settings, text, name)
    return settings


def _check_providers(settings: Settings, text: str, name: str) -> None:
    """A key goes where `base_url` says: over TLS, or to this machine, or to the private network of a LiteLLM proxy."""
    for provider, own in settings.providers.items():
        problem = url_problem(own.base_url, private_network=provider == "litellm") if own.base_url else ""
        if problem:
            path = ("providers", provider, "base_url")
            raise SettingsError(f"{name}, {_line(text, path)}: {'.'.join(path)}: {problem}")


def url_problem(url: str, *, private_network: bool = False) -> str:
    """What is wrong with the base URL of an API, "" = nothing."""
    from urllib.parse import urlsplit

    problem = "not an address such as https://host"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return problem
    if not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return problem
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        return "an address without user, password, ? and # is wanted"
    if parts.scheme == "https" or (parts.scheme == "http" and is_near(host, private_network)):
        return ""
    return "https is needed: a key is sent there"


def is_near(host: str, private_network: bool = False) -> bool:
    """Whether the host is this machine, or else an address of a private network."""
    import ipaddress

    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (private_network and address.is_private)


def _refuse_unknown(table: Mapping[str, Any], text: str, name: str) -> None:
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
    names = (Path(__file__).parent / "providers").iterdir()
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
                f"{name}, {_line(text, place)}: {_shown('.'.join(place))}: a length such as 90m, 5h or 7d is wanted"
            )


def _refuse_nan(value: object, path: tuple[str, ...], text: str, name: str) -> None:
    """TOML knows `nan`, and every comparison of a range lets it through."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nan(inner, (*path, key), text, name)
    elif isinstance(value, list):
        for inner in value:
            _refuse_nan(inner, path, text, name)
    elif isinstance(value, float) and math.isnan(value):
        raise SettingsError(f"{name}, {_line(text, path)}: {_shown('.'.join(path))}: not a number")


def _check_names(table: Mapping[str, Any], known: Any, above: tuple[str, ...], text: str, name: str) -> None:
    for key in table:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, list(known), 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            path = (*above, key)
            raise SettingsError(
                f"{name}, {_line(text, path)}: unknown setting {_shown('.'.join(path))!r}{hint}"
            )


def _shown(key: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in key)[:80]


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
        names.append(_shown(key))
        current = current.get(key) if isinstance(current, dict) else None
    return tuple(names)


def _fits(names: list[str], value: Any) -> bool:
    """Tell whether one entry of the named dict setting is valid."""
    try:
        msgspec.convert({names[0]: {"x": value}}, Settings)
    except msgspec.ValidationError:
        return False
    return True


def _line(text: str, path: tuple[str, ...]) -> str:
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


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """Return the user's time zone with its daylight-saving rules: `$TZ`, else the system's.

    A `$TZ` in POSIX rule form gives its standard offset; without any zone file it is UTC.
    """
    named = environ.get("TZ", "").removeprefix(":")
    if named in ("UTC", "Etc/UTC"):
        return UTC
    from zoneinfo import ZoneInfo

    try:
        if named and not named.startswith("/"):
            return ZoneInfo(named)
        with Path(named or "/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, KeyError):
        return timezone(timedelta(seconds=-time.timezone)) if named else UTC


def render_default() -> str:
    """Return a config.toml with every setting, commented out, with its meaning and default."""
    blocks = ["# Settings of tokentop. Every line shows a default: take the # away to change it."]
    tables = []
    for field, text, default in fields_of(Settings()):
        if isinstance(default, Rules):
            tables += [f"# {text}\n# [{field}]", *_rule_tables(default)]
        elif isinstance(default, Notify | TelemetrySettings):
            tables.append(f"# {text}\n# [{field}]\n" + "\n".join(_lines_of(default)))
        elif isinstance(default, tuple):
            tables.append(f"# {text}\n# [[{field}]]\n{_EXAMPLES[field]}")
        elif isinstance(default, Budgets):
            tables.append(f"# {text}\n# [{field}]\n{_EXAMPLES[field]}")
        elif isinstance(default, dict):
            tables.append(f"# {text}\n# [{field}]\n# {_EXAMPLES[field]}")
        else:
            blocks.append(f"# {text}\n# {field} = {toml_value(default)}")
    return "\n\n".join(blocks + tables) + "\n"


def _rule_tables(rules: Rules) -> Iterator[str]:
    """Every rule with its own limits; what all share is written out once, at the first."""
    from .rulebook import settings_of

    for at, (name, rule) in enumerate(rules.items()):
        own = settings_of(rule)
        lines = [f"# {' '.join((type(rule).__doc__ or '').split())}", f"# [rules.{name}]"]
        brief = ["# on = false", *(f"# {field} = {toml_value(value)}" for field, value in own.items())]
        yield "\n".join([*lines, *(_lines_of(rule) if at == 0 else brief)])


def _lines_of(settings: Struct) -> Iterator[str]:
    for field, text, default in fields_of(settings):
        yield f"# {field} = {toml_value(default)}" + (f"  # {text}" if text else "")


def fields_of(defaults: Struct) -> Iterator[tuple[str, str, Any]]:
    """Yield (name, description, default) of each setting."""
    hints = get_type_hints(type(defaults), include_extras=True)
    for field in defaults.__struct_fields__:
        hint = hints[field]
        metas = (
            [m for m in get_args(hint)[1:] if isinstance(m, Meta)] if get_origin(hint) is Annotated else []
        )
        description = next((m.description for m in metas if m.description), "")
        yield field, description, getattr(defaults, field)


def toml_value(value: object) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, tuple):
        return f"[{', '.join(toml_value(str(one)) for one in value)}]"
    return str(value)
