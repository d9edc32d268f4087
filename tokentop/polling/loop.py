"""The poller: one asyncio task for each provider that is switched on. It hands over facts and knows no database."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from tokentop.clock import now_ms as wall_clock
from tokentop.nouns.billing import REFUSED_STATES, Fetched, Health, ProviderState
from tokentop.providers.base import Ask, Source
from tokentop.providers.http import Client
from tokentop.settings import credentials
from tokentop.settings.config import ProviderSettings

from .keys import Held, chosen, find_key, owned_path, where_keys_are
from .pull import Asker, Pulled, Sleep, pull
from .schedule import Due, Went, after, blocked_ms, due, next_ms

log = logging.getLogger(__name__)

SPREAD_S = 30.0  # over which the first looks are spread, and those after the machine slept
LOOK_S = 60.0  # between two looks at whether the key has changed
KEY_S = 1800.0  # between two questions to a key command or keyring that gave none, or one that was refused
FRESH_MS = 600_000  # a limit from a log or a hook that is younger makes a private endpoint needless

States = dict[tuple[str, str, str], ProviderState]


class Poller:
    """Asks what is due, for as long as `run` runs. `put` takes each result; `newest_ms` says how old limits from
    logs and hooks are, by provider."""

    def __init__(
        self, settings: Mapping[str, ProviderSettings], environ: Mapping[str, str], put: Callable[[Fetched], None],
        *, asker: Asker | None = None, clock: Callable[[], int] = wall_clock, sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random, hidden: bool = False,
        newest_ms: Callable[[str], int] = lambda _: 0,
    ) -> None:  # fmt: skip
        self._held = chosen(settings)
        self._environ, self._put = environ, put
        self._client = Client()
        self._asker: Asker = asker or self._client
        self._clock, self._sleep, self._chance = clock, sleep, chance
        self._hidden, self._newest_ms = hidden, newest_ms
        self.states: States = {}
        self._blocked_s: dict[tuple[str, str, str], float] = {}

    def remember(self, states: Iterable[ProviderState]) -> None:
        """What was known before: above all, who must not be asked yet."""
        self.states.update({(one.provider, one.source, one.account): one for one in states})

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for held in self._held:
                    group.create_task(self._watch(held))
        finally:
            await self._client.close()

    async def once(self, wanted: Iterable[str] = ()) -> list[str]:
        """Ask each report of the wanted providers (all that are on) once, as a person wants it now.

        Return the providers that were left by an error of our own.
        """
        ids = set(wanted)
        left: list[str] = []

        async def ask(held: Held) -> None:
            try:
                await self._round(held, forced=True)
            except Exception as error:
                log.error("%s: %s", held.provider.id, type(error).__name__)
                left.append(held.provider.id)

        try:
            async with asyncio.TaskGroup() as group:
                for held in self._held:
                    if not ids or held.provider.id in ids:
                        group.create_task(ask(held))
        finally:
            await self._client.close()
        return left

    # ------------------------------------------------------------ one provider

    async def _watch(self, held: Held) -> None:
        await self._sleep(SPREAD_S * self._chance())
        loop = asyncio.get_running_loop()
        wall_ms, at_s = self._clock(), loop.time()
        while True:
            try:
                await self._round(held)
            except Exception as error:  # one provider must not end the others; its traceback could show a key
                log.error("%s: %s", held.provider.id, type(error).__name__)
                await self._sleep(LOOK_S)
            wait_s = self._wait_s(held)
            await self._sleep(wait_s)
            slept_s = (self._clock() - wall_ms) / 1000 - (loop.time() - at_s)
            wall_ms, at_s = self._clock(), loop.time()
            if abs(slept_s) > LOOK_S:
                await self._sleep(SPREAD_S * self._chance())

    async def _round(self, held: Held, *, forced: bool = False) -> None:
        """Look at the key, then ask every report that is due, one after the other."""
        if not self._have_key(held):
            return
        for source in held.provider.sources:
            state = self.state_of(held, source)
            problem = self._not_asked(held, source)
            if problem is not None:
                self._tell(replace(state, state=Health.OFF, reason=problem, next_ms=0))
                continue
            if state.state is Health.OFF:
                state = replace(state, state=Health.OK if state.ok_ms else Health.WAITING, reason="")
            if self._is_blocked(state):
                continue
            asked = due(state, source, self._clock(), hidden=self._hidden, forced=forced)
            if asked is not None:
                await self._look(held, source, state, asked)

    async def _look(self, held: Held, source: Source, state: ProviderState, asked: Due) -> None:
        target = held.target
        assert target is not None
        now_ms = self._clock()
        ask = Ask(
            now_ms + state.skew_ms,
            asked.since_day,
            asked.until_day,
            held.settings.account,
            target.host,
            plan=held.plan,
        )
        went, pulled = await pull(self._asker, target, source, ask, sleep=self._sleep, chance=self._chance)
        now_ms = self._clock()
        new = after(state, went, asked, held.provider, source, now_ms, self._chance)
        if new.blocked_until_ms > now_ms:
            self._blocked_s[_key(new)] = asyncio.get_running_loop().time() + blocked_ms(new, now_ms) / 1000
        self._tell(new, pulled, went)

    def _tell(self, state: ProviderState, pulled: Pulled | None = None, went: Went | None = None) -> None:
        known = self.states.get(_key(state))
        self.states[_key(state)] = state
        if pulled is None or went is None:
            if known != state:
                self._put(Fetched(state))
            return
        self._put(
            Fetched(
                state, pulled.days, tuple(pulled.bills),
                None if pulled.balances is None else tuple(pulled.balances),
                None if pulled.names is None else tuple(pulled.names), tuple(pulled.quotas),
            )
        )  # fmt: skip

    def state_of(self, held: Held, source: Source) -> ProviderState:
        key = (held.provider.id, source.id, held.account)
        return self.states.get(key) or ProviderState(*key)

    def _is_blocked(self, state: ProviderState) -> bool:
        """Also by the clock that does not jump: a machine whose wall clock was set ahead must still wait."""
        until_s = self._blocked_s.get(_key(state), 0.0)
        return asyncio.get_running_loop().time() < until_s

    def _not_asked(self, held: Held, source: Source) -> str | None:
        """Why a report is left alone although its provider is on; None = it is asked."""
        if source.missing and not held.settings.account:
            return source.missing
        if source.own_host_only and held.settings.base_url:
            return "not asked where base_url is set: its key is for the provider's own host"
        if source.instead_of:
            other = self.state_of(held, held.provider.source(source.instead_of))
            if other.state not in REFUSED_STATES and other.state is not Health.REFUSED:
                return (
                    f"{source.instead_of} answers in its place"
                    if other.ok_ms
                    else f"after {source.instead_of}"
                )
        if held.provider.private_risk:
            newest = self._newest_ms(held.provider.limits_of)
            if newest and 0 <= self._clock() - newest < FRESH_MS:
                return "not needed: a log or a hook has told the limits within the last 10 minutes"
        return None

    def _wait_s(self, held: Held) -> float:
        """Until something is due, or the key has to be looked at again."""
        now_ms, now_s = self._clock(), asyncio.get_running_loop().time()
        waits = [LOOK_S]
        for source in held.provider.sources:
            state = self.state_of(held, source)
            at_ms = next_ms(state, source, now_ms, hidden=self._hidden)
            if at_ms and state.state not in (Health.OFF, Health.NO_KEY):
                waits.append(max(1.0, (at_ms - now_ms) / 1000, self._blocked_s.get(_key(state), 0.0) - now_s))
        return min(waits)

    # ------------------------------------------------------------ keys

    def _have_key(self, held: Held) -> bool:
        """Find the key, again when what it comes from has changed. What stands in the way becomes the state."""
        signature = self._signature(held)
        now_s = asyncio.get_running_loop().time()
        refused = any(
            self.state_of(held, source).state is Health.UNAUTHORIZED for source in held.provider.sources
        )
        changes = refused and held.found.origin in ("key_command", "keyring")
        old = (changes or held.target is None) and now_s - held.looked_s > KEY_S
        if held.signature != signature or old:
            held.signature, held.looked_s = signature, now_s
            find_key(held, self._environ)
        if held.target is not None:
            return True
        problem = held.found.problem or f"no key: {where_keys_are(held.provider)}"
        for source in held.provider.sources:
            self._tell(ProviderState(held.provider.id, source.id, "", Health.NO_KEY, problem))
        return False

    def _signature(self, held: Held) -> object:
        if held.provider.key_file is None:
            return credentials.signature(self._environ)
        try:
            about = owned_path(held.provider, self._environ).stat()
        except OSError:
            return 0, 0, 0
        return about.st_ino, about.st_mtime_ns, about.st_size


def _key(state: ProviderState) -> tuple[str, str, str]:
    return state.provider, state.source, state.account
