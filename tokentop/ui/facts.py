"""A row in words: the fields of the detail drawer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tokentop import text
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Alert, Row
from tokentop.nouns.usage import Figures, Tokens
from tokentop.ui.cells import STALE_MS, VENDORS, context_pct, cost_text, unread
from tokentop.ui.columns import MINUTE, WINDOWS_MIN
from tokentop.ui.glyphs import LOOKS, safe
from tokentop.ui.grouping import Head


class Field(NamedTuple):
    """One line of the drawer. An empty label continues the one above; `wide` wants a line of its own.

    `tail` stands at the right end; `graph` are samples that are drawn in the room of the value. A field with the
    role "section" is a heading: what follows is laid out by itself.
    """

    label: str
    value: str
    role: str = ""
    wide: bool = False
    tail: str = ""
    graph: tuple[float, ...] = ()


def section(title: str) -> Field:
    return Field("", title, "section", True)


def fields(row: Row, now_ms: int, alerts: Sequence[Alert], quotas: Sequence[Quota]) -> list[Field]:
    """Everything the row itself carries, the most asked first."""
    out = [*state_fields(row, now_ms, alerts)]
    if row.kind not in {"tool", "orphan"}:
        out += figure_fields(row)
        out += limit_fields(row, now_ms, quotas)
    out += process_fields(row, now_ms)
    out += place_fields(row)
    out += child_fields(row, now_ms)
    out += [Field("quality" if at == 0 else "", safe(note), "dim") for at, note in enumerate(quality(row))]
    return out


def group(head: Head) -> tuple[str, list[Field]]:
    """Name and sums of a group of rows."""
    numbers, nothing = head.row.tree, unread(head.row, tree=True)
    states = "  ".join(f"{LOOKS[state].glyph} {count} {LOOKS[state].word}" for state, count in head.counts)
    out = [Field("group", states)]
    if nothing:
        return safe(head.row.title, 80), [*out, Field("cost", "? no log has been read yet", "dim")]
    rate = f"{text.rate(numbers.tokens_per_min)} tok/min, {burn_text(numbers)}"
    out += [
        Field("cost", cost_text(numbers, 9), "strong"),
        Field("rate", rate if numbers.rates_known else "?"),
    ]
    return safe(head.row.title, 80), [*out, *token_fields(numbers.tokens, "tokens")]


def over_window(found: Iterable[Field], row: Row, window_min: int) -> list[Field]:
    """Fields of a row whose rates are averages over a longer window, which they name; `?` while not known."""
    if window_min == MINUTE:
        return list(found)
    name, known = WINDOWS_MIN[window_min], row.tree.rates_known
    return [
        one._replace(label=f"{one.label} {name}", value=one.value if known else text.UNKNOWN)
        if one.label in {"rate", "reads"}
        else one
        for one in found
    ]


def state_fields(row: Row, now_ms: int, alerts: Sequence[Alert]) -> Iterator[Field]:
    status = row.status
    look = LOOKS[status.state]
    shown = f"{look.glyph} {'~' if status.inferred else ''}{look.word}"
    if status.detail:
        shown += f" {safe(status.detail, 120)}"
    if status.since_ms > 0:
        shown += f", {text.duration_long((now_ms - status.since_ms) / 1000)}"
    yield Field("state", shown, status.state.value)
    if status.source:
        yield Field("  told by", safe(status.source, 20) + (", inferred" if status.inferred else ""))
    if row.unchanged_since_ms:
        yield Field("unchanged", unchanged_text(row, now_ms), "warm" if _no_progress(row, alerts) else "")
        yield Field(
            "  told by", "git" if row.unchanged_source == "git" else "editing tools alone, no git here"
        )
    for alert in alerts:
        if alert.row_key == row.key:
            yield Field("alert", alert_text(alert, now_ms), "hot")


def alert_text(alert: Alert, now_ms: int) -> str:
    """`context is 92 % full, since 16:20`."""
    return f"{safe(alert.text)}, since {text.clock_near(alert.since_ms, now_ms)}"


def _no_progress(row: Row, alerts: Sequence[Alert]) -> bool:
    return any(alert.kind == "no-progress" and alert.row_key == row.key for alert in alerts)


def unchanged_text(row: Row, now_ms: int) -> str:
    """`∅14m, $3.20 since a file changed`."""
    mark = "≥" if row.unchanged_at_least else ""
    spent = "$?" if row.unchanged_nusd is None else text.money(row.unchanged_nusd, mark, width=9)
    age = text.duration((now_ms - row.unchanged_since_ms) / 1000)
    return f"∅{mark}{age}, {spent} since a file changed"


def figure_fields(row: Row) -> Iterator[Field]:
    if not row.session_id:
        yield Field("tokens", "? no session is known for this process", "dim")
        return
    own, tree = row.own, row.tree
    below = tree != own
    nothing = unread(row, tree=False)
    if nothing and (not below or unread(row, tree=True)):
        for label in ("cost", "rate", "tokens", "context"):
            yield Field(label, "? no log has been read yet", "dim")
        yield Field("model", safe(row.model, 80) or "? not named yet")
        return
    yield Field("cost", "? no log has been read yet" if nothing else cost_text(own, 9), "strong")
    if below:
        yield Field("with below", cost_text(tree, 9, partial=nothing), "strong")
    yield Field("rate", f"{text.rate(tree.tokens_per_min)} tok/min, {burn_text(tree)}")
    count = "?" if nothing else f"{own.responses:,}"
    yield Field("responses", count + (f", with below {tree.responses:,}" if below else ""))
    if nothing:
        yield Field("tokens", "? no log has been read yet", "dim")
    else:
        yield from token_fields(own.tokens, "tokens")
    if below:
        yield from token_fields(tree.tokens, "with below")
    yield Field("reads", f"{text.rate(tree.reads_per_min)} cached/min")
    if row.context_used is not None and not nothing:
        share = context_pct(row)
        of = f" of {text.digits3(row.context_window)} ({text.percent(share)})" if share is not None else ""
        yield Field("context", text.digits3(row.context_used) + (of or ", window unknown"))
    yield Field("model", safe(row.model, 80) or "? not named yet")


def burn_text(numbers: Figures) -> str:
    """`$18.40/h`; `?` while tokens flow that have no price."""
    if numbers.burn_nusd_per_h <= 0 and numbers.tokens_per_min > 0 and numbers.unpriced_tokens:
        return "$?/h"
    return f"{text.money(numbers.burn_nusd_per_h)}/h"


def token_fields(tokens: Tokens, label: str) -> Iterator[Field]:
    """Disjoint buckets, so that they add up; reasoning is a part of the output."""
    writes = tokens.cache_write_5m + tokens.cache_write_1h
    yield Field(label, f"in {text.digits3(tokens.input)}  out {text.digits3(tokens.output)}")
    yield Field("  of out", f"reasoning {text.digits3(tokens.reasoning)}")
    yield Field("  cache", f"read {text.digits3(tokens.cache_read)}")
    yield Field("  written", f"{text.digits3(writes)} (1h {text.digits3(tokens.cache_write_1h)})")


def limit_fields(row: Row, now_ms: int, quotas: Sequence[Quota]) -> Iterator[Field]:
    """The plan limits of the row's vendor: how full, when full at this pace, else when they are reset."""
    own = [quota for quota in quotas if quota.provider in {row.agent, VENDORS.get(row.agent)}]
    several = len({quota.account for quota in own}) > 1
    for quota in own:
        over = 0 < quota.resets_at_ms <= now_ms
        shown = "?, was reset" if over else f"{text.percent(quota.used_pct)} →"
        reset = f" {text.clock_near(quota.resets_at_ms, now_ms)}" if quota.resets_at_ms else " ?"
        if quota.full_at_ms > now_ms and not over:
            shown = f"{text.percent(quota.used_pct)} full {text.clock_near(quota.full_at_ms, now_ms)}, reset"
        age_ms = now_ms - quota.at_ms
        seen = f", {text.duration(age_ms / 1000)} old" if age_ms > STALE_MS else ""
        account = f"{safe(quota.account, 20)} " if several and quota.account else ""
        yield Field(f"limit {text.window_name(quota.window_minutes)}", f"{account}{shown}{reset}{seen}")


def process_fields(row: Row, now_ms: int) -> Iterator[Field]:
    if row.pid is None:
        yield Field("process", "– known from its log only", "dim")
    else:
        sure = "" if row.confidence in {"", "exact"} else f" ~ mapping is {safe(row.confidence, 20)}"
        usage = f"{text.percent_fine(row.cpu_pct)} cpu, {text.memory(row.rss_bytes)}"
        yield Field("process", f"pid {row.pid}, {usage}{sure}", "inferred" if sure else "")
    if row.started_ms > 0:
        age = text.duration_long((now_ms - row.started_ms) / 1000)
        yield Field("started", f"{text.clock_near(row.started_ms, now_ms)}, {age} ago")
    if row.last_ms > 0:
        yield Field("last seen", f"{text.duration_long((now_ms - row.last_ms) / 1000)} ago")
    surface = " ".join(part for part in (row.agent, row.version, row.surface) if part)
    yield Field("program", safe(surface, 80))


def place_fields(row: Row) -> Iterator[Field]:
    named = (
        ("title", row.title),
        ("directory", row.cwd),
        ("branch", row.branch),
        ("where", row.where),
        ("session", row.session_id),
        ("command", row.command),
        ("log", row.log_path),
        ("resume", row.resume),
    )
    for label, value in named:
        if value:
            yield Field(label, safe(value), "key" if label == "resume" else "", wide=True)


def child_fields(row: Row, now_ms: int) -> Iterator[Field]:
    if row.sub_agents:
        yield Field("sub-agents", f"{row.sub_agents}, working {row.working_below}")
    for child in row.children:
        age = text.duration((now_ms - child.started_ms) / 1000)
        usage = f"{text.percent_fine(child.cpu_pct)} {text.memory(child.rss_bytes)} {age}"
        yield Field(child.role.value, f"{child.ident.pid} {safe(child.command, 160)}  {usage}", wide=True)


def quality(row: Row) -> list[str]:
    """Where the figures come from and what is wrong with them."""
    notes = []
    own = row.tree
    if row.session_id and row.kind not in {"tool", "orphan"}:
        if own.unpriced_tokens:
            notes.append(f"{text.digits3(own.unpriced_tokens)} tokens without a price")
        if own.unknown_calls:
            notes.append(f"{text.plural(own.unknown_calls, 'call')} without usage in the log")
        if own.estimated:
            notes.append("a part of the tokens is an estimate")
        if unread(row, tree=False):
            notes.append("no log of this session has been read yet: its own figures are unknown")
        elif not notes:
            notes.append("exact: every response from the log, at list price")
    return [*notes, *row.notes]
