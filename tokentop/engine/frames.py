"""The live table as bytes, and back. Pure.

A picture is a list of vectors of whole numbers: one for each row, one for the totals, five for the graphs. Texts are
numbers of a dictionary. A frame holds only how its vectors differ from those of another picture, column by column,
as MessagePack under zlib; a key frame differs from nothing. What slides with the clock alone (graphs, sparks) is
moved along before it is compared, so that a table in which nothing happens is the same table.

Left out: the processes below an agent that are no rows, averages over longer windows, the curve of the forecast.
Cut: commands to their program, what a permission is asked for to its tool.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, compress
from operator import ne

import msgspec
from msgspec import Struct

from tokentop.engine.rates import COARSE_MS, SERIES_SAMPLES, SERIES_STEP_MS, SPARK_SAMPLES
from tokentop.engine.snapshot import figure_notes
from tokentop.model import (
    Alert,
    Diagnostic,
    Figures,
    Forecast,
    MonthForecast,
    Quota,
    Row,
    Series,
    Snapshot,
    State,
    Status,
    Tokens,
)
from tokentop.recorded import Text

Vector = tuple[int, ...]

_FIGURES = 14
_OWN_AT = 39
_COST, _RATE = 7, 11  # places within figures
_PAST = SPARK_SAMPLES - 1
_SPARK_AT = _OWN_AT + 2 * _FIGURES
_LATEST_AT = _SPARK_AT + _PAST
_OTHER_AT = _LATEST_AT + 1
_NEW: Vector = (0,) * (_OTHER_AT + _PAST)
_FLAT: Vector = (0,) * _PAST
_TIMES = (16, 20, 21, 33)  # columns that are times: a new one is told from the picture's own time
_NO_TIMES: tuple[int, ...] = ()
_KINDS = ("agent", "sub-agent", "tool", "orphan")
_STATES = tuple(State)
_PROC = re.compile(r"proc:([0-9]{1,10}):([0-9]{1,18})")
_DETAIL_CHARS = 80
_MAX_HEALTH = 50
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,4})?")
_NUMBERS = 3  # of a text that are told apart from it: they change, it does not
_LEVEL = 6
_OWN = 2  # numbers at the end of the head that are tokentop's own: no change of the table
_KEEPS_DETAIL = frozenset({State.ERROR, State.LIMITED})


class DamagedFrame(ValueError):
    """The bytes are no frame, or of another picture."""


class _Numbers(dict[str, int]):
    """Text -> number; one that is not known yet gets the next."""

    def __init__(self, number: Callable[[str], int]) -> None:
        super().__init__({"": 0})
        self._number = number

    def __missing__(self, text: str) -> int:
        found = self[text] = self._number(text)
        return found


class Texts:
    """The dictionary: each text once, numbered from 1; 0 is the empty one. Titles are kept apart from all else."""

    def __init__(self, known: Iterable[Text] = ()) -> None:
        self.ids = _Numbers(lambda text: self._add(text, title=False))
        self.titles = _Numbers(lambda text: self._add(text, title=True))
        self._texts: dict[int, str] = {0: ""}
        self.last = 0  # the highest number
        self.fresh: list[Text] = []  # not stored yet
        self.learn(known)

    def learn(self, known: Iterable[Text]) -> None:
        """Take stored texts."""
        for one in known:
            if one.text:  # titles that were taken out are empty
                (self.titles if one.title else self.ids)[one.text] = one.id
            self._texts[one.id] = one.text
            self.last = max(self.last, one.id)

    def _add(self, text: str, *, title: bool) -> int:
        self.last += 1
        self._texts[self.last] = text
        self.fresh.append(Text(self.last, text, title))
        return self.last

    def text(self, number: int) -> str:
        """`?` for a number that the dictionary has lost."""
        return self._texts.get(number, "?")

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget texts that are stored no more."""
        for number in numbers:
            text = self._texts.pop(number, "")
            for ids in (self.ids, self.titles):
                if text and ids.get(text) == number:
                    del ids[text]


class Picture(Struct):
    """One moment of the live table as numbers; times are told from `epoch_ms`."""

    at_ms: int
    epoch_ms: int
    rows: list[Vector]
    head: Vector
    series: list[Vector]
    limits: list[Vector]
    alerts: list[Vector]
    rest: bytes  # problems, mode


_WITH_VERBS = frozenset(
    {"apt", "brew", "bun", "cargo", "composer", "deno", "docker", "dotnet", "gh", "git", "go", "helm", "kubectl",
     "make", "mise", "npm", "npx", "pip", "pnpm", "podman", "poetry", "systemctl", "terraform", "uv", "yarn"}
)  # fmt: skip


@lru_cache(maxsize=4096)
def program(command: str) -> str:
    """The program of a command line, with its verb where it has such: `npm run`, `pytest`; no other argument."""
    words = command.split(maxsplit=3)
    if not words:
        return ""
    name = words[0].rsplit("/", 1)[-1]
    if name.startswith("python") and len(words) > 2 and words[1] == "-m":
        return f"{name} -m {words[2]}"
    return f"{name} {words[1]}" if name in _WITH_VERBS and len(words) > 1 and words[1].isalpha() else name


# ---------------------------------------------------------------- a snapshot as numbers


class Made(Struct):
    """What the last picture was made of, for the next one: rows that are the same object keep their vector."""

    rows: dict[str, tuple[Row, Vector]] = {}
    step: int = -1  # of the sparks


def picture_of(snapshot: Snapshot, texts: Texts, epoch_ms: int, made: Made) -> Picture:
    """The numbers of a snapshot. `made` is of the last one with the same epoch, and becomes that of this one."""
    step = snapshot.at_ms // COARSE_MS
    passed = step - made.step if made.step >= 0 else 0
    vectors, kept = [], {}
    for row in snapshot.rows:
        before = made.rows.get(row.key)
        if before is not None and before[0] is row and (not passed or not any(before[1][_SPARK_AT:])):
            kept[row.key] = before
        else:
            sparks = before[1][_SPARK_AT:] if before is not None else (0,) * (2 * _PAST + 1)
            kept[row.key] = row, (*_vector(row, texts, epoch_ms), *_sparks(row, _slid_sparks(sparks, passed)))
        vectors.append(kept[row.key][1])
    made.rows, made.step = kept, step
    series = snapshot.series
    graphs = (series.output_per_min, series.writes_per_min, series.input_per_min, series.reads_per_min,
              series.burn_nusd_per_h)  # fmt: skip
    return Picture(
        snapshot.at_ms, epoch_ms, vectors, _head(snapshot, texts),
        [tuple(map(round, graph)) or (0,) * SERIES_SAMPLES for graph in graphs],
        [_limit(quota, texts, epoch_ms) for quota in snapshot.quotas],
        [_alert(alert, texts, epoch_ms) for alert in snapshot.alerts], _rest(snapshot),
    )  # fmt: skip


def _sparks(row: Row, foreseen: Vector) -> Vector:
    """The spark; then, so that its next step can be foreseen, what it was half a minute ago."""
    if len(row.spark) != SPARK_SAMPLES:
        return (0,) * (2 * _PAST + 1)
    latest = round(row.spark[-1]) - round(row.own.tokens_per_min)
    return (*map(round, row.spark[:-1]), latest, *foreseen[_PAST + 1 :])


def _slid_sparks(sparks: Vector, steps: int) -> Vector:
    """A spark has minutes and moves by half of one: two rows of samples take turns."""
    if not steps or not any(sparks):
        return sparks
    past, latest, other = sparks[:_PAST], sparks[_PAST], sparks[_PAST + 1 :]
    for _ in range(min(max(steps, 0), 2 * _PAST + 2)):
        past, other = (*other[1:], 0), past
    return (*past, latest, *other)


def _vector(row: Row, texts: Texts, epoch_ms: int) -> Vector:
    proc = _PROC.fullmatch(row.key)
    ids, status, command = texts.ids, row.status, program(row.command)
    log = row.kind in {"agent", "sub-agent"}
    head = (
        0 if proc else ids[row.key],
        int(proc[1]) if proc else 0,
        int(proc[2]) if proc else 0,
        ids[row.parent_key],
        row.depth,
        _KINDS.index(row.kind),
        ids[row.agent],
        0 if row.key == f"{row.agent}:{row.session_id}" else ids[row.session_id] + 1,
        texts.titles[row.title] if log else ids[program(row.title)],
        ids[row.project],
        ids[row.cwd],
        ids[row.branch],
        ids[row.model],
        _STATES.index(status.state),
        ids[_detail(status)],
        ids[status.source],
        _since(status.since_ms, epoch_ms),
        int(status.inferred),
        0 if row.context_used is None else row.context_used + 1,
        row.context_window,
        _since(row.started_ms, epoch_ms),
        _since(row.last_ms, epoch_ms),
        0 if row.pid is None else row.pid + 1,
        ids[row.confidence],
        _as_drawn(row.cpu_pct),
        row.rss_bytes >> 10,
        ids[command],
        ids[row.where],
        ids[row.version],
        ids[row.surface],
        ids[row.log_path],
        ids[row.resume],
        row.sub_agents << 16 | row.working_below,
        _since(row.unchanged_since_ms, epoch_ms),
        _spent(row),
        ids[row.unchanged_source] << 1 | row.unchanged_at_least,
        ids["\n".join(note for note in row.notes if note not in figure_notes(row.own))],
        row.same_calls << 16 | min(row.compactions, 0xFFFF),
        ids["\n".join((_first(row.same_call), _first(row.last_tool), row.host))],
    )
    own = _figures(row.own)
    tree = own if row.tree is row.own else _figures(row.tree)
    below = (0,) * _FIGURES if tree == own else tuple(b - a for a, b in zip(own, tree, strict=True))
    return (*head, *own, *below)


def _detail(status: Status) -> str:
    """What is behind the state: errors as they are, of all else the tool's name alone."""
    if status.state in _KEEPS_DETAIL:
        return status.detail[:_DETAIL_CHARS]
    return " ".join(status.detail.partition(":")[0].split()[:2])


def _spent(row: Row) -> int:
    """What is spent since the last change of a file, as what was spent before it: that stays the same."""
    return 0 if row.unchanged_nusd is None else row.tree.cost_nusd - row.unchanged_nusd + 1


def _as_drawn(pct: float) -> int:
    """Tenths of a per cent, whole ones from 10 on: as they are shown."""
    return round(pct * 10) if pct < 9.95 else 10 * round(pct)


def _first(words: str) -> str:
    return words.split(" ", 1)[0]


def _figures(of: Figures) -> Vector:
    tokens = of.tokens
    return (
        tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h, tokens.output,
        tokens.reasoning, of.responses, of.cost_nusd, of.unpriced_tokens, int(of.estimated), of.unknown_calls,
        round(of.tokens_per_min), round(of.reads_per_min), of.burn_nusd_per_h,
    )  # fmt: skip


def _since(at_ms: int, epoch_ms: int) -> int:
    """A time as a small number: how long before the epoch, 0 = no time."""
    if not at_ms:
        return 0
    back = epoch_ms - at_ms
    return back + 1 if back >= 0 else back


def _head(snapshot: Snapshot, texts: Texts) -> Vector:
    forecast = snapshot.forecast
    bill: Vector = (0,) * 17
    if forecast is not None:
        month = forecast.month
        bill = (
            1, texts.ids[forecast.day], forecast.today_nusd, forecast.projected_nusd, forecast.low_nusd,
            forecast.high_nusd, texts.ids[forecast.method], forecast.days_of_history, forecast.low_half_nusd,
            forecast.high_half_nusd,
            *((0,) * 7 if month is None else (
                texts.ids[month.month], month.spent_nusd, month.projected_nusd, month.low_nusd, month.low_half_nusd,
                month.high_half_nusd, month.high_nusd)),
        )  # fmt: skip
    return (
        *_figures(snapshot.today), *_figures(snapshot.totals), *bill,
        forecast.month.end_ms if forecast is not None and forecast.month is not None else 0,
        snapshot.history_events, round(snapshot.own_cpu_pct * 100), snapshot.own_rss_bytes >> 10,
    )  # fmt: skip


def _limit(quota: Quota, texts: Texts, epoch_ms: int) -> Vector:
    return (
        texts.ids[quota.provider], texts.ids[quota.account], quota.window_minutes, texts.ids[quota.limit_id],
        _since(quota.resets_at_ms, epoch_ms), _since(quota.at_ms, epoch_ms), _since(quota.full_at_ms, epoch_ms),
        round(quota.used_pct * 100), texts.ids[quota.source], texts.ids[quota.plan],
    )  # fmt: skip


_LIMIT_TIMES = (4, 5, 6)


def _alert(alert: Alert, texts: Texts, epoch_ms: int) -> Vector:
    said = alert.text.partition(":")[0] if alert.kind == "permission" else alert.text
    found = _NUMBER.findall(said)[:_NUMBERS]
    form = _NUMBER.sub("\0", said, count=_NUMBERS)
    numbers = [0, 0] * _NUMBERS
    for at, number in enumerate(found):
        whole, _, tail = number.partition(".")
        numbers[2 * at : 2 * at + 2] = [int(whole + tail), len(tail) * 16 + len(whole)]
    return (
        texts.ids[alert.kind], texts.ids[alert.row_key], _since(alert.since_ms, epoch_ms), texts.ids[form], *numbers
    )  # fmt: skip


_ALERT_TIMES = (2,)
_Rest = tuple[tuple[Diagnostic, ...], str]


def _rest(snapshot: Snapshot) -> bytes:
    return msgspec.msgpack.encode((snapshot.health[:_MAX_HEALTH], snapshot.mode))


# ---------------------------------------------------------------- numbers as a snapshot


def snapshot_of(picture: Picture, texts: Texts, at_ms: int) -> Snapshot:
    """The snapshot of a picture that still held at `at_ms`. Raises DamagedFrame."""
    moved = slid(picture, at_ms)
    try:
        rows = tuple(_row(vector, texts, picture.epoch_ms) for vector in moved.rows)
        quotas = tuple(_to_limit(vector, texts, picture.epoch_ms) for vector in moved.limits)
        alerts = tuple(_to_alert(vector, texts, picture.epoch_ms) for vector in moved.alerts)
        health, mode = msgspec.msgpack.decode(moved.rest, type=_Rest)
    except (msgspec.MsgspecError, IndexError, ValueError, TypeError) as error:
        raise DamagedFrame(type(error).__name__) from error
    head = moved.head
    counts: dict[State, int] = {}
    for row in rows:
        if row.kind in {"agent", "orphan"}:
            counts[row.status.state] = counts.get(row.status.state, 0) + 1
    return Snapshot(
        revision=at_ms,
        at_ms=at_ms,
        rows=rows,
        counts=tuple((state, counts[state]) for state in State if state in counts),
        today=_to_figures(head[:_FIGURES]),
        totals=_to_figures(head[_FIGURES : 2 * _FIGURES]),
        series=Series(SERIES_STEP_MS // 1000, *(tuple(map(float, graph)) for graph in moved.series)),
        forecast=_forecast(head[2 * _FIGURES :], texts, at_ms),
        quotas=quotas,
        alerts=alerts,
        health=health,
        mode=mode,
        history_events=head[-3],
        own_cpu_pct=head[-2] / 100,
        own_rss_bytes=head[-1] << 10,
    )


def _row(v: Vector, texts: Texts, epoch_ms: int) -> Row:
    text = texts.text
    agent = text(v[6])
    key = text(v[0]) if v[0] else f"proc:{v[1]}:{v[2]}"
    tree_at = _OWN_AT + _FIGURES
    own = _to_figures(v[_OWN_AT:tree_at])
    below = v[tree_at:_SPARK_AT]
    tree = (
        _to_figures(tuple(a + b for a, b in zip(v[_OWN_AT:tree_at], below, strict=True)))
        if any(below)
        else own
    )
    notes = text(v[36]).split("\n") if v[36] else []
    same_call, last_tool, host = text(v[38]).split("\n") if v[38] else ("", "", "")
    command = text(v[26])
    return Row(
        key=key,
        parent_key=text(v[3]),
        depth=v[4],
        kind=_KINDS[v[5]],
        agent=agent,
        session_id=text(v[7] - 1) if v[7] else key.removeprefix(f"{agent}:"),
        title=text(v[8]),
        project=text(v[9]),
        cwd=text(v[10]),
        branch=text(v[11]),
        model=text(v[12]),
        status=Status(_STATES[v[13]], text(v[14]), text(v[15]), _time(v[16], epoch_ms), bool(v[17])),
        own=own,
        tree=tree,
        spark=(*map(float, v[_SPARK_AT:_LATEST_AT]), float(v[_LATEST_AT] + v[_OWN_AT + _RATE])),
        context_used=v[18] - 1 if v[18] else None,
        context_window=v[19],
        started_ms=_time(v[20], epoch_ms),
        last_ms=_time(v[21], epoch_ms),
        pid=v[22] - 1 if v[22] else None,
        confidence=text(v[23]),
        cpu_pct=v[24] / 10,
        rss_bytes=v[25] << 10,
        command=command,
        where=text(v[27]),
        version=text(v[28]),
        surface=text(v[29]),
        log_path=text(v[30]),
        resume=text(v[31]),
        sub_agents=v[32] >> 16,
        working_below=v[32] & 0xFFFF,
        unchanged_since_ms=_time(v[33], epoch_ms),
        unchanged_nusd=tree.cost_nusd - (v[34] - 1) if v[34] else None,
        unchanged_at_least=bool(v[35] & 1),
        unchanged_source=text(v[35] >> 1),
        notes=(*figure_notes(own), *notes),
        same_calls=v[37] >> 16,
        same_call=same_call,
        compactions=v[37] & 0xFFFF,
        last_tool=last_tool,
        host=host,
    )


def _to_limit(v: Vector, texts: Texts, epoch_ms: int) -> Quota:
    resets, at, full = (_time(code, epoch_ms) for code in v[4:7])
    return Quota(
        texts.text(v[0]), texts.text(v[1]), v[2], texts.text(v[3]), v[7] / 100, resets, texts.text(v[8]), at,
        texts.text(v[9]), full,
    )  # fmt: skip


def _to_alert(v: Vector, texts: Texts, epoch_ms: int) -> Alert:
    said = texts.text(v[3])
    for number, size in zip(v[4::2], v[5::2], strict=True):
        tail = size >> 4
        digits = str(number).rjust(tail + (size & 15), "0")
        shown = f"{digits[:-tail]}.{digits[-tail:]}" if tail else digits
        said = said.replace("\0", shown, 1)
    return Alert(texts.text(v[0]), texts.text(v[1]), said, _time(v[2], epoch_ms))


def _to_figures(v: Vector) -> Figures:
    return Figures(Tokens(*v[:6]), v[6], v[7], v[8], bool(v[9]), v[10], float(v[11]), float(v[12]), v[13])


def _time(code: int, epoch_ms: int) -> int:
    if not code:
        return 0
    return epoch_ms - (code - 1) if code > 0 else epoch_ms - code


def _forecast(v: Vector, texts: Texts, at_ms: int) -> Forecast | None:
    if not v[0]:
        return None
    month = (
        MonthForecast(texts.text(v[10]), v[11], v[12], v[13], v[14], v[15], v[16], v[17]) if v[10] else None
    )
    return Forecast(
        at_ms, texts.text(v[1]), v[2], v[3], v[4], v[5], texts.text(v[6]), v[7], v[8], v[9], month=month
    )


# ---------------------------------------------------------------- differences


def slid(picture: Picture, at_ms: int) -> Picture:
    """The picture at a later time if nothing happens: graphs and sparks move along, nothing else."""
    graphs, sparks = (at_ms // step - picture.at_ms // step for step in (SERIES_STEP_MS, COARSE_MS))
    if not graphs and not sparks:
        return picture
    by = min(max(graphs, 0), SERIES_SAMPLES)
    series = [(*graph[by:], *(0,) * by) if any(graph) else graph for graph in picture.series]
    rows = [
        (*row[:_SPARK_AT], *_slid_sparks(row[_SPARK_AT:], sparks)) if any(row[_SPARK_AT:]) else row
        for row in picture.rows
    ]
    return Picture(
        at_ms, picture.epoch_ms, rows, picture.head, series, picture.limits, picture.alerts, picture.rest
    )


def is_same(before: Picture, now: Picture) -> bool:
    """Whether nothing happened between two pictures but time, and what tokentop itself uses."""
    moved = slid(before, now.at_ms)
    return (
        moved.rows == now.rows
        and moved.head[:-_OWN] == now.head[:-_OWN]
        and moved.series == now.series
        and moved.limits == now.limits
        and moved.alerts == now.alerts
        and moved.rest == now.rest
    )


_COLUMNS = range(1 << 16)
_Table = tuple[list[int] | None, list[int]]  # where each vector was before, as steps; differences by column
_Document = tuple[_Table, _Table, _Table, list[int], list[int], bytes | None]
_ROW_KEY, _LIMIT_KEY, _ALERT_KEY = 3, 4, 2  # so many columns tell a vector from the others
_LIMIT, _ALERT = 10, 4 + 2 * _NUMBERS
_MAX_BYTES = 64 << 20


def encode(base: Picture | None, now: Picture) -> bytes:
    """The bytes of a picture, as its difference to `base`."""
    old = slid(base, now.at_ms) if base is not None else _nothing(now.epoch_ms)
    time = _since(now.at_ms, now.epoch_ms)
    document = (
        _table(old.rows, now.rows, _ROW_KEY, _NEW, _TIMES, time),
        _table(old.limits, now.limits, _LIMIT_KEY, (0,) * _LIMIT, _LIMIT_TIMES, time),
        _table(old.alerts, now.alerts, _ALERT_KEY, (0,) * _ALERT, _ALERT_TIMES, time),
        _differences([old.head], [now.head], _NO_TIMES, 0),
        _differences(old.series, now.series, _NO_TIMES, 0),
        None if old.rest == now.rest else now.rest,
    )
    return zlib.compress(msgspec.msgpack.encode(document), _LEVEL)


def decode(base: Picture | None, body: bytes, at_ms: int) -> Picture:
    """The picture of `encode`. Raises DamagedFrame where the bytes are not those of a frame on this base."""
    epoch_ms = at_ms if base is None else base.epoch_ms
    old = slid(base, at_ms) if base is not None else _nothing(epoch_ms)
    time = _since(at_ms, epoch_ms)
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(body, _MAX_BYTES)
        if not unpacker.eof:
            raise DamagedFrame("cut off, or too large")
        rows, limits, alerts, head, series, rest = msgspec.msgpack.decode(raw, type=_Document)
        return Picture(
            at_ms, epoch_ms,
            _from_table(old.rows, rows, _NEW, _TIMES, time),
            _applied([old.head], head, _NO_TIMES, 0)[0],
            _applied(old.series, series, _NO_TIMES, 0),
            _from_table(old.limits, limits, (0,) * _LIMIT, _LIMIT_TIMES, time),
            _from_table(old.alerts, alerts, (0,) * _ALERT, _ALERT_TIMES, time),
            old.rest if rest is None else rest,
        )  # fmt: skip
    except (zlib.error, msgspec.MsgspecError, IndexError, ValueError, TypeError) as error:
        raise DamagedFrame(str(error) or type(error).__name__) from error


_HEAD = 2 * _FIGURES + 17 + 4


def _nothing(epoch_ms: int) -> Picture:
    return Picture(0, epoch_ms, [], (0,) * _HEAD, [(0,) * SERIES_SAMPLES] * 5, [], [], b"")


def _table(
    old: Sequence[Vector], new: Sequence[Vector], key: int, blank: Vector, times: Sequence[int], time: int
) -> _Table:
    place = {vector[:key]: at for at, vector in enumerate(old)}
    order, before, last = [], [], len(old)
    for vector in new:
        at = place.get(vector[:key], last)
        order.append(at)
        before.append(blank if at == last else old[at])
        last += at == last
    steps = None if order == list(range(len(old))) else _steps(order)
    return steps, _differences(before, new, times, time)


def _from_table(
    old: Sequence[Vector], table: _Table, blank: Vector, times: Sequence[int], time: int
) -> list[Vector]:
    order = range(len(old)) if table[0] is None else _summed(table[0])
    return _applied([old[at] if 0 <= at < len(old) else blank for at in order], table[1], times, time)


def _steps(numbers: Sequence[int]) -> list[int]:
    return [b - a for a, b in zip((0, *numbers), numbers, strict=False)]


def _summed(steps: Iterable[int]) -> list[int]:
    return list(accumulate(steps))


def _differences(old: Sequence[Vector], new: Sequence[Vector], times: Sequence[int], time: int) -> list[int]:
    """What changed, by column: its number, how many, which vectors (as steps), and by how much.

    A changed time is told as its distance to `time`.
    """
    columns: dict[int, tuple[list[int], list[int]]] = {}
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if before is after or before == after:
            continue
        for column in compress(_COLUMNS, map(ne, before, after)):
            found = columns.get(column)
            if found is None:
                found = columns[column] = ([], [])
            found[0].append(at)
            found[1].append(after[column] - (time if column in times else before[column]))
    flat: list[int] = []
    for column in sorted(columns):
        places, deltas = columns[column]
        flat += (column, len(places), *_steps(places), *deltas)
    return flat


def _applied(old: Sequence[Vector], flat: Sequence[int], times: Sequence[int], time: int) -> list[Vector]:
    changed: dict[int, list[int]] = {}
    at = 0
    while at < len(flat):
        column, count = flat[at], flat[at + 1]
        places = _summed(flat[at + 2 : at + 2 + count])
        deltas = flat[at + 2 + count : at + 2 + 2 * count]
        if len(deltas) != count or column < 0 or count < 0 or min(places, default=0) < 0:
            raise DamagedFrame("cut off")
        timed = column in times
        for place, delta in zip(places, deltas, strict=True):
            row = changed.get(place)
            if row is None:
                row = changed[place] = list(old[place])
            row[column] = delta + (time if timed else row[column])
        at += 2 + 2 * count
    return [tuple(changed[place]) if place in changed else row for place, row in enumerate(old)]


_TEXTS = (0, 3, 6, 8, 9, 10, 11, 12, 14, 15, 23, 26, 27, 28, 29, 30, 31, 36, 38)


def texts_of(picture: Picture) -> frozenset[int]:
    """Numbers of the texts that a picture names."""
    found = {row[at] for row in picture.rows for at in _TEXTS}
    for row in picture.rows:
        found.update((max(0, row[7] - 1), row[35] >> 1))
    found.update(picture.head[2 * _FIGURES + at] for at in (1, 6, 10))
    found.update(limit[at] for limit in picture.limits for at in (0, 1, 3, 8, 9))
    found.update(alert[at] for alert in picture.alerts for at in (0, 1, 3))
    return frozenset(found - {0})
