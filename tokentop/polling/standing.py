"""Where each provider stands, and what a person can do about it: for `tokentop providers` and the screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tokentop.nouns.billing import Balance, Health, KeySeen, ProviderState, ReportStanding, Standing
from tokentop.providers.base import Provider, Source
from tokentop.settings.config import ProviderSettings
from tokentop.settings.credentials import Secret

from .keys import Held, find_key, is_on, where_keys_are
from .schedule import next_ms

_BY_ITSELF = "it is asked again by itself"
_TODO = {
    Health.GONE: "the provider has closed this report: update tokentop",
    Health.LIMITED: f"asked too often: {_BY_ITSELF}",
    Health.REFUSED: "the question was refused: check account and base_url, or update tokentop",
    Health.SERVER: _BY_ITSELF,
    Health.OVERLOADED: _BY_ITSELF,
    Health.TIMEOUT: _BY_ITSELF,
    Health.UNREACHABLE: f"is the network up, is base_url right? {_BY_ITSELF}",
    Health.CUT_OFF: _BY_ITSELF,
    Health.REDIRECTED: "a login page or a wrong base_url; nothing was sent there",
    Health.TOO_BIG: f"the answer was too big; {_BY_ITSELF}",
    Health.NOT_JSON: "something else answers: a proxy or a login page? check base_url",
    Health.BAD_DATA: "not as documented: update tokentop; the last good value stays",
}


def todo(provider: Provider, needs: str, state: Health) -> str:
    """What a person can do about a report in this state, "" = nothing has to be done. `needs` = the report's own hint."""
    if state is Health.UNAUTHORIZED and provider.key_file is not None:
        return "log in again with its own client"
    if state is Health.UNAUTHORIZED:
        return f"store another key: tokentop providers key {provider.id}"
    if state is Health.FORBIDDEN:
        return f"the key may not read this; needed: {(needs or provider.needs).removeprefix('it needs ')}"
    if state is Health.NO_KEY:
        return f"no key: {where_keys_are(provider)}"
    return _TODO.get(state, "")


def standing(
    provider: Provider,
    own: ProviderSettings | None,
    environ: Mapping[str, str],
    states: Sequence[ProviderState],
    balances: Iterable[Balance],
    now_ms: int,
) -> Standing:
    """One provider; no other program is asked for its key. `states` and `balances` are those of the store."""
    settings = own or ProviderSettings()
    held = Held(provider, settings)
    find_key(held, environ, ask=False)
    on = is_on(provider, settings)
    account = held.account
    if not account and held.found.origin == "key_command":  # not run for a list: the key that was last used
        used = [one for one in states if one.provider == provider.id and one.account]
        account = max(used, key=lambda one: one.at_ms).account if used else ""
    mine = {one.source: one for one in states if one.provider == provider.id and one.account == account}
    has_key = held.found.secret is not None or held.found.origin == "key_command"
    return Standing(
        provider.id, provider.label, _overall(settings, provider, has_key, mine, held), on,
        bool(provider.private_risk), _key(held, account) if has_key else None,
        held.found.problem or ("" if has_key else f"no key: {where_keys_are(provider)}"), provider.needs,
        settings.base_url or provider.base_url,
        tuple(_report(provider, source, mine, account, now_ms) for source in provider.sources) if on or mine else (),
        tuple(one for one in balances if one.provider == provider.id),
    )  # fmt: skip


def _key(held: Held, account: str) -> KeySeen:
    secret = held.found.secret
    return KeySeen(held.found.origin, secret.tail if isinstance(secret, Secret) else "", account)


def _overall(
    own: ProviderSettings, provider: Provider, has_key: bool, mine: Mapping[str, ProviderState], held: Held
) -> str:
    """The provider in one word: the best of its reports; "ok" only if nothing failed."""
    if not own.on:
        return "off"
    if provider.private_risk and not own.i_accept_the_risk:
        return "off: not accepted"
    if not has_key or held.found.problem:
        return str(Health.NO_KEY)
    return in_a_word([one.state for one in mine.values()])


def in_a_word(states: Iterable[Health]) -> str:
    """Several reports in one word."""
    asked = [state for state in states if state not in (Health.OFF, Health.WAITING)]
    if not asked:
        return str(Health.WAITING)
    bad = [state for state in asked if state is not Health.OK]
    if not bad:
        return str(Health.OK)
    if len(bad) == len(asked) and len(set(bad)) == 1:
        return str(bad[0])
    return f"{len(asked) - len(bad)} of {len(asked)} ok"


def _report(
    provider: Provider, source: Source, mine: Mapping[str, ProviderState], account: str, now_ms: int
) -> ReportStanding:
    state = mine.get(source.id) or ProviderState(provider.id, source.id, account)
    soon = next_ms(state, source, now_ms) if state.at_ms and state.state is not Health.OFF else 0
    return ReportStanding(source.gives, state, soon, todo(provider, source.needs, state.state))
