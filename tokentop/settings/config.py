"""Settings: one struct, defaults for everything. `load.py` reads them from the settings file."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from tokentop.nouns.telemetry import PORT

from .rulebook import Notify, Rules
from .spending import Budgets, Plan

NUSD = 1_000_000_000
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
