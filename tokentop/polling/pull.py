"""One report, whole: every request with all its pages, or nothing. A failure in the middle publishes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from tokentop.nouns.billing import Balance, Bill, Health, Name
from tokentop.nouns.money import Quota
from tokentop.nouns.usage import Tokens
from tokentop.providers.base import Ask, Page, Request, Source
from tokentop.providers.decoding import BadReply, error_word
from tokentop.providers.http import Answer, Target, Trouble

from .schedule import Chance, Went

MOST_PAGES = 100
ATTEMPTS = 3
LONGEST_RETRY_S = 10.0
_AGAIN = frozenset({408, 425, 500, 502, 503, 504, 529})

Sleep = Callable[[float], Awaitable[object]]


class Asker(Protocol):
    """What asks: the HTTP client, or a script in its place."""

    async def get(self, target: Target, request: Request) -> Answer: ...


class Stopped(Exception):
    """A pull came to its end without the whole."""

    def __init__(self, went: Went, *, again: bool = False) -> None:
        super().__init__(went.reason)
        self.went, self.again = went, again


class Pulled(Struct):
    """What all pages of a report held together."""

    bills: list[Bill] = field(default_factory=list)
    balances: list[Balance] | None = None
    names: list[Name] | None = None
    quotas: list[Quota] = field(default_factory=list)
    days: frozenset[str] = frozenset()
    requests: int = 0


async def pull(
    asker: Asker, target: Target, source: Source, ask: Ask, *, sleep: Sleep = asyncio.sleep, chance: Chance
) -> tuple[Went, Pulled]:
    """Ask for a report; after a 400 in the plainer ways that it knows. Never raises but for cancellation."""
    went, pulled = Went(Health.REFUSED), Pulled()
    for level in range(source.levels):
        run = _Run(asker, target, source, replace(ask, level=level), sleep, chance)
        try:
            went, pulled = await run.all()
        except Stopped as stopped:
            went, pulled = stopped.went, Pulled(requests=run.requests)
        if went.state is not Health.REFUSED:
            break
    if target.secret is not None and target.secret.reveal() in went.reason:
        went = replace(went, reason="")
    return went, pulled


class _Run:
    """One way of asking."""

    def __init__(
        self, asker: Asker, target: Target, source: Source, ask: Ask, sleep: Sleep, chance: Chance
    ) -> None:
        self._asker, self._target, self._source, self._ask = asker, target, source, ask
        self._sleep, self._chance = sleep, chance
        self.requests = 0
        self._date_ms = 0

    async def all(self) -> tuple[Went, Pulled]:
        pulled, known, bad, dropped, as_of = Pulled(), list[frozenset[str]](), set[str](), 0, 0
        for request in self._source.requests(self._ask):
            days: set[str] = set()
            for page in await self._pages(request):
                if page.days is not None:
                    days |= page.days
                elif page.balances is None and page.names is None:
                    days |= self._ask.days()
                pulled.bills += page.bills
                pulled.quotas += page.quotas
                if page.balances is not None:
                    pulled.balances = (pulled.balances or []) + page.balances
                if page.names is not None:
                    pulled.names = (pulled.names or []) + page.names
                bad |= page.bad_days
                dropped += page.dropped
                as_of = max(as_of, page.as_of_ms)
            known.append(frozenset(days))
        pulled.requests = self.requests
        if not known:
            return Went(Health.OK), pulled
        together = frozenset.intersection(*known) if self._source.together else frozenset[str]().union(*known)
        pulled.days = frozenset() if "" in bad else (together & self._ask.days()) - bad
        pulled.bills = _merged(bill for bill in pulled.bills if bill.day_utc in pulled.days)
        if not dropped:
            return Went(Health.OK, date_ms=self._date_ms, as_of_ms=as_of), pulled
        pulled.balances = pulled.names = None  # what is left of a list is not the list
        text = f"{dropped} row{'s' * (dropped > 1)} could not be read; their days keep what was known"
        return Went(Health.BAD_DATA, text, date_ms=self._date_ms, as_of_ms=as_of, dropped=dropped), pulled

    async def _pages(self, request: Request) -> list[Page]:
        """All pages of a request. A cursor that is missing or comes again is an error, not the end."""
        pages: list[Page] = []
        seen: set[str] = set()
        while True:
            page = await self._page(request)
            pages.append(page)
            if not page.more:
                return pages
            problem = (
                "has no cursor" if not page.cursor else "was there before" if page.cursor in seen else ""
            )
            if problem:
                raise self._stop(Health.BAD_DATA, f"more is announced, but the next page {problem}")
            if len(pages) >= MOST_PAGES:
                raise self._stop(Health.TOO_BIG, f"more than {MOST_PAGES} pages")
            seen.add(page.cursor)
            request = request.with_query(self._source.cursor, page.cursor)

    async def _page(self, request: Request) -> Page:
        """One page; what may pass is tried again, at most twice."""
        attempt = 0
        while True:
            self.requests += 1
            try:
                return await self._once(request)
            except Stopped as stopped:
                attempt += 1
                wait_s = stopped.went.retry_after_s or 0.0
                if not stopped.again or attempt >= ATTEMPTS or wait_s > LONGEST_RETRY_S:
                    raise
            await self._sleep(max(wait_s, 0.5 * 2 ** (attempt - 1) * (1 - 0.25 * self._chance())))

    async def _once(self, request: Request) -> Page:
        trouble: Stopped | None = None
        answer: Answer | None = None
        try:
            answer = await self._asker.get(self._target, request)
        except Trouble as error:
            trouble = self._stop(error.state, error.text, again=error.again)
        if answer is None:
            assert trouble is not None
            raise trouble
        self._date_ms = answer.date_ms
        self._check(answer)
        try:
            return self._source.parse(answer.body, self._ask, request)
        except BadReply as error:
            state = Health.NOT_JSON if str(error).startswith("not JSON") else Health.BAD_DATA
            trouble = self._stop(state, str(error), again=True)
        except Exception as error:  # a shape that no one has thought of is a state, too
            trouble = self._stop(Health.BAD_DATA, f"the answer has another shape ({type(error).__name__})")
        raise trouble

    def _stop(
        self, state: Health, reason: str, *, again: bool = False, retry_after_s: float | None = None
    ) -> Stopped:
        return Stopped(Went(state, reason, retry_after_s, self._date_ms), again=again)

    def _check(self, answer: Answer) -> None:
        """Raise `Stopped` for an answer that is not the report."""
        status, after = answer.status, answer.retry_after_s
        if status == 200:
            if not answer.is_json:
                raise self._stop(Health.NOT_JSON, "the answer is not JSON by its content type", again=True)
            return
        own, word = error_word(answer.body) if answer.is_json else (False, "")
        said = f"{status} {word}".rstrip()
        needs = f"{said}: {self._source.needs}" if self._source.needs else said
        if status == 401:
            raise self._stop(Health.UNAUTHORIZED, f"{said}: the key is not accepted")
        if status == 403:
            if own:
                raise self._stop(Health.FORBIDDEN, needs)
            raise self._stop(
                Health.LIMITED, "403 from a proxy on the way, not from the provider", retry_after_s=after
            )
        if status == 429:
            raise self._stop(Health.LIMITED, said, retry_after_s=after)
        if status in (404, 410):
            raise self._stop(Health.GONE, f"{said}: there is no such report for this key")
        if status in _AGAIN:
            state = Health.OVERLOADED if status == 529 else Health.SERVER
            raise self._stop(state, said, again=True, retry_after_s=after)
        if status < 300:
            raise self._stop(Health.NOT_JSON, f"{status} without content", again=True)
        if status >= 500:
            raise self._stop(Health.SERVER, said, retry_after_s=after)
        raise self._stop(Health.REFUSED, said)


def _merged(bills: Iterable[Bill]) -> list[Bill]:
    """Rows that differ only in what we do not keep are one row."""
    found: dict[tuple[str, ...], Bill] = {}
    for bill in bills:
        key = key_of(bill)
        known = found.get(key)
        found[key] = bill if known is None else _sum(known, bill)
    return list(found.values())


def key_of(bill: Bill) -> tuple[str, ...]:
    """What tells rows of one report and day apart."""
    return (
        bill.day_utc, bill.kind, bill.model, bill.key, bill.project, bill.tier, bill.product, bill.item, bill.unit,
        bill.currency,
    )  # fmt: skip


def _sum(one: Bill, two: Bill) -> Bill:
    def add(a: int | None, b: int | None) -> int | None:
        return b if a is None else a if b is None else a + b

    tokens = two.tokens if one.tokens is None else one.tokens + (two.tokens or Tokens())
    return replace(
        one, tokens=tokens, requests=add(one.requests, two.requests), quantity=add(one.quantity, two.quantity),
        amount_nusd=add(one.amount_nusd, two.amount_nusd), list_nusd=add(one.list_nusd, two.list_nusd),
        amount_text=f"{one.amount_text} + {two.amount_text}"[:160] if one.amount_text else two.amount_text,
    )  # fmt: skip
