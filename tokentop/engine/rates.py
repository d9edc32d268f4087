"""Rates of the last minute and the graphs of the last hour.

An event is spread over the time its response took, in whole tokens and nano-dollars; reading a rate costs the
few cells of its window. Pure: the clock comes in through `advance()`.
"""

from __future__ import annotations

from msgspec import Struct

from tokentop.engine.meter import Entry, Meter, minutes_of
from tokentop.nouns.looks import Minutes
from tokentop.nouns.picture import Series
from tokentop.nouns.usage import Priced

FINE_MS = 5_000
COARSE_MS = 30_000
STEP_MS = 10_000
WINDOW_MS = 60_000
SPARK_SAMPLES = 12
SERIES_SAMPLES = 120
SERIES_STEP_MS = 30_000
HOUR_MS = 3_600_000
FUTURE_MS = 300_000  # a record further ahead of our clock is taken as written now
BACK_MS = 30_000  # a clock that steps back further starts the rates afresh
MANY = 250  # sessions
REMEMBERED = 16_384  # events that a newer version can still replace

_ZERO3 = (0, 0, 0)


class Rate(Struct, frozen=True, gc=False):
    """Figures of the last 60 seconds: fresh tokens and cache reads per minute, nano-dollars per hour."""

    tokens_per_min: float = 0.0
    reads_per_min: float = 0.0
    burn_nusd_per_h: int = 0


_NO_RATE = Rate()
_NO_SPARK = (0.0,) * SPARK_SAMPLES


class _SessionMeters:
    __slots__ = ("coarse", "fine", "last_ms", "past", "past_cell", "rate", "rate_ms", "spark")

    def __init__(self) -> None:
        self.fine = Meter(FINE_MS, WINDOW_MS + BACK_MS + FINE_MS)
        self.coarse = Meter(COARSE_MS, (SPARK_SAMPLES + 1) * 60_000)
        self.last_ms = 0
        self.rate = Rate()  # as of `rate_ms`; -1 = to be computed
        self.rate_ms = -1
        self.past: tuple[float, ...] = ()  # the spark but its newest sample, as of `past_cell`
        self.past_cell = -1
        self.spark: tuple[float, ...] = ()  # the same object while its samples are the same


class Rates:
    """Rates of every session that burned in the last minutes, and of all of them together."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._peak_ms = 0
        self._pruned_ms = 0
        self._all = Meter(STEP_MS, HOUR_MS + 2 * SERIES_STEP_MS)
        self._sessions: dict[str, _SessionMeters] = {}
        self._spent: dict[str, Meter] = {}  # money alone, of the last hour
        self._entries: dict[int, Entry] = {}
        self._total: Rate | None = None  # of all sessions at `_total_ms`; None = to be summed
        self._total_ms = 0
        self._samples: dict[int, tuple[int, ...]] = {}  # closed samples of the series, as last computed

    def advance(self, now_ms: int) -> None:
        """Set the clock. Small steps back are borne; after a large one the rates start afresh."""
        if now_ms < self._peak_ms - BACK_MS:
            self._all.cells.clear()
            self._sessions.clear()
            self._spent.clear()
            self._entries.clear()
            self._samples.clear()
            self._total = None
            self._peak_ms = self._pruned_ms = now_ms
        self.now_ms = now_ms
        self._peak_ms = max(self._peak_ms, now_ms)
        if self._peak_ms - self._pruned_ms >= STEP_MS:
            self._prune()

    def add(self, priced: Priced, key: str) -> str:
        """Count an event for the session `key`; a newer version of an event replaces the older one.

        A version can be replaced while it is among the last 16,384 events. Returns the session that the older
        one was counted for, "" without one.
        """
        old = self._entries.pop(priced.id, None)
        before = ""
        if old is not None:
            self._change(old, -1)
            before = old.key
        entry = self._entry(priced, key)
        if entry.start_ms + entry.span_ms < self._peak_ms - self._all.keep:
            return before
        self._entries[priced.id] = entry
        self._change(entry, 1)
        if len(self._entries) > REMEMBERED:
            del self._entries[next(iter(self._entries))]
        return before

    def _entry(self, priced: Priced, key: str) -> Entry:
        usage, tokens = priced.usage, priced.usage.tokens
        span = max(0, min(usage.duration_ms, HOUR_MS))
        start = (usage.start_ms or usage.at_ms) + max(0, usage.duration_ms) - span
        if self.now_ms and start + span > self.now_ms + FUTURE_MS:
            start = self.now_ms - span
        writes = tokens.cache_write_5m + tokens.cache_write_1h
        cost = priced.cost_nusd or 0
        parts = (tokens.output, writes, tokens.input, tokens.cache_read, cost)
        return Entry(key, start, span, parts, self._peak_ms)

    def _change(self, entry: Entry, sign: int) -> None:
        peak = self._peak_ms
        self._total = None
        self._all.change(entry, entry.parts, peak, sign)
        for sample in range(
            entry.start_ms // SERIES_STEP_MS, (entry.start_ms + entry.span_ms) // SERIES_STEP_MS + 1
        ):
            self._samples.pop(sample, None)
        if entry.parts[4]:
            spent = self._spent.get(entry.key) or self._spent.setdefault(
                entry.key, Meter(COARSE_MS, HOUR_MS + WINDOW_MS)
            )
            spent.change(entry, entry.parts[4:], peak, sign)
        meters = self._sessions.get(entry.key)
        if entry.start_ms + entry.span_ms < peak - (SPARK_SAMPLES + 2) * 60_000:
            return
        if meters is None:
            if sign < 0:
                return
            meters = self._sessions[entry.key] = _SessionMeters()
        output, writes, fresh_input, reads, cost = entry.parts
        parts = (output + writes + fresh_input, reads, cost)
        meters.fine.change(entry, parts, peak, sign)
        meters.coarse.change(entry, parts, peak, sign)
        meters.last_ms = max(meters.last_ms, entry.start_ms + entry.span_ms)
        meters.rate_ms = meters.past_cell = -1

    def _prune(self) -> None:
        self._pruned_ms = self._peak_ms
        self._total = None
        self._all.prune(self._peak_ms)
        for key, spent in list(self._spent.items()):
            spent.prune(self._peak_ms)
            if not spent.cells:
                del self._spent[key]
        for key, meters in list(self._sessions.items()):
            if meters.last_ms < self._peak_ms - meters.coarse.keep - COARSE_MS:
                del self._sessions[key]
            else:
                meters.fine.prune(self._peak_ms)
                meters.coarse.prune(self._peak_ms)

    def of(self, key: str) -> Rate:
        """The last 60 seconds of one session, without what is below it."""
        meters = self._sessions.get(key)
        return _NO_RATE if meters is None else self._rate(meters)

    def _rate(self, meters: _SessionMeters) -> Rate:
        if not meters.fine.cells:
            return _NO_RATE
        if meters.rate_ms != self.now_ms:
            sums = meters.fine.window(self.now_ms - WINDOW_MS, self.now_ms)
            rate = Rate(float(sums[0]), float(sums[1]), sums[2] * 60) if sums else _NO_RATE
            if rate != meters.rate:
                meters.rate = rate
            meters.rate_ms = self.now_ms
        return meters.rate

    @property
    def held_ms(self) -> int:
        """How far back the sums of all sessions together go."""
        return HOUR_MS

    @property
    def kept_ms(self) -> int:
        """What ended longer ago than this changes nothing here."""
        return self._all.keep

    def sums(self, key: str, back_ms: int) -> tuple[int, int, int]:
        """Fresh tokens, cache reads and nano-dollars of one session in the last minutes, 12 at most."""
        meters = self._sessions.get(key)
        found = meters.coarse.window(self.now_ms - back_ms, self.now_ms) if meters is not None else ()
        return (found[0], found[1], found[2]) if found else _ZERO3

    def sums_of_all(self, back_ms: int) -> tuple[int, int, int]:
        """The same of all sessions together, of the last hour at most."""
        found = self._all.window(self.now_ms - back_ms, self.now_ms)
        if not found:
            return _ZERO3
        output, writes, fresh_input, reads, cost = found
        return output + writes + fresh_input, reads, cost

    def burns(self) -> tuple[int, int | None]:
        """What a projection goes by, in nano-dollars an hour: the last minute, and the average of the last hour."""
        hour = self.series().burn_nusd_per_h
        burn = self.sums_of_all(WINDOW_MS)[2] * (HOUR_MS // WINDOW_MS)
        return burn, round(sum(hour) / len(hour)) if hour else None

    def spent_since(self, key: str, since_ms: int) -> int:
        """Nano-dollars of one session since then, of the last hour at most."""
        meter = self._spent.get(key)
        if meter is None:
            return 0
        from_ms = max(since_ms, (self.now_ms - HOUR_MS) // COARSE_MS * COARSE_MS)
        if meter.since != from_ms:  # nothing of it changes but by an event
            sums = meter.window(from_ms, self._peak_ms + FUTURE_MS)
            meter.since, meter.summed = from_ms, sums[0] if sums else 0
        return meter.summed

    def total(self) -> Rate:
        """The last 60 seconds of all sessions together: of very many not summed up but from their common cells."""
        known = self._total
        if known is None or self._total_ms != self.now_ms:
            known = self._total = self._summed() if len(self._sessions) <= MANY else self._of_all()
            self._total_ms = self.now_ms
        return known

    def _summed(self) -> Rate:
        rates = [self._rate(meters) for meters in self._sessions.values()]
        return Rate(
            sum([r.tokens_per_min for r in rates]),
            sum([r.reads_per_min for r in rates]),
            sum([r.burn_nusd_per_h for r in rates]),
        )

    def _of_all(self) -> Rate:
        tokens, reads, cost = self.sums_of_all(WINDOW_MS)
        return Rate(float(tokens), float(reads), cost * (HOUR_MS // WINDOW_MS))

    def spark(self, key: str) -> tuple[float, ...]:
        """Fresh tokens of the last 12 minutes, oldest first; the newest sample is the present rate."""
        meters = self._sessions.get(key)
        if meters is None:
            return _NO_SPARK
        last = self.now_ms // COARSE_MS
        if meters.past_cell != last:
            cells = meters.coarse.cells
            meters.past = tuple(
                float(cells.get(cell - 1, _ZERO3)[0] + cells.get(cell, _ZERO3)[0])
                for cell in range(last - 2 * (SPARK_SAMPLES - 1), last, 2)
            )
            meters.past_cell = last
        spark = (*meters.past, self.of(key).tokens_per_min)
        if spark != meters.spark:
            meters.spark = spark
        return meters.spark

    @property
    def whole(self) -> bool:
        """Whether every event of the last hour is remembered."""
        return len(self._entries) < REMEMBERED

    def minutes(self, key: str) -> Minutes:
        """Tokens of one session by kind in the 60 cells of the last hour, from the events that are remembered."""
        own = [entry for entry in self._entries.values() if entry.key == key]
        return minutes_of([(e.start_ms, e.span_ms, e.parts[:4]) for e in own], self.now_ms, "memory")

    def series(self) -> Series:
        """The last hour in steps of 30 s on a fixed grid; the newest sample is the last 30 seconds."""
        zero = (0, 0, 0, 0, 0)
        open_sample = self.now_ms // SERIES_STEP_MS
        first = open_sample - SERIES_SAMPLES + 1
        for old in [sample for sample in self._samples if not first <= sample < open_sample]:
            del self._samples[old]
        known = self._samples
        samples = [known.get(sample) or self._sample(sample) for sample in range(first, open_sample)]
        samples.append(self._all.window(self.now_ms - SERIES_STEP_MS, self.now_ms) or zero)
        output, writes, fresh_input, reads, cost = zip(*samples, strict=True)
        per_min, per_h = 60_000 / SERIES_STEP_MS, HOUR_MS / SERIES_STEP_MS
        return Series(
            step_s=SERIES_STEP_MS // 1000,
            output_per_min=tuple(v * per_min for v in output),
            writes_per_min=tuple(v * per_min for v in writes),
            input_per_min=tuple(v * per_min for v in fresh_input),
            reads_per_min=tuple(v * per_min for v in reads),
            burn_nusd_per_h=tuple(v * per_h for v in cost),
            minute=self._kinds(),
        )

    def _kinds(self) -> tuple[float, ...]:
        """Output, writes and input of the last 60 seconds: what `total()` tells, parted as the common cells are.

        These are coarser than a session's, so their own sum is not quite the same.
        """
        output, writes, fresh_input = (self._all.window(self.now_ms - WINDOW_MS, self.now_ms) or _ZERO3)[:3]
        told, total = output + writes + fresh_input, round(self.total().tokens_per_min)
        if not told:
            return () if total else (0.0, 0.0, 0.0)
        first, second = output * total // told, (output + writes) * total // told
        return float(first), float(second - first), float(total - second)

    def _sample(self, sample: int) -> tuple[int, ...]:
        """Sums of one closed step of the series; kept until an event changes it."""
        cells, per_sample = self._all.cells, SERIES_STEP_MS // STEP_MS
        parts = [cells.get(sample * per_sample + i, (0, 0, 0, 0, 0)) for i in range(per_sample)]
        found = self._samples[sample] = tuple(map(sum, zip(*parts, strict=True)))
        return found
