"""Where each figure of a row comes from and how good it is: one line for the drawer, the whole for a page. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

from tokentop import text
from tokentop.nouns.looks import Look
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Row
from tokentop.nouns.telemetry import SURFACE
from tokentop.ui.cells import STALE_MS, context_pct, cost_text, unread
from tokentop.ui.facts import burn_text
from tokentop.ui.glyphs import safe

EXACT, ESTIMATED, UNPRICED, INFERRED, STALE, UNKNOWN = (
    "exact", "estimated", "unpriced", "inferred", "stale", "unknown"
)  # fmt: skip
AT_LEAST = "at least"
MARKS = {EXACT: "", ESTIMATED: "≈", UNPRICED: "$?", INFERRED: "~", STALE: "old", UNKNOWN: "?", AT_LEAST: "≥"}
ROLES = {EXACT: "good", UNKNOWN: "dim", STALE: "dim"}


class Origin(NamedTuple):
    """One figure: what it is, how good, as it is shown, and what told it."""

    what: str
    grade: str
    value: str
    told: str


def origins(row: Row, look: Look | None, quotas: Sequence[Quota], now_ms: int) -> list[Origin]:
    """Every figure of the row, the most asked first. Without a `look` the price list is not known."""
    out: list[Origin] = []
    if row.kind not in {"tool", "orphan"} and row.session_id:
        out += _money(row, look)
        out.append(_context(row))
    out.append(_state(row))
    out.append(_process(row))
    if row.unchanged_since_ms:
        exact = row.unchanged_source == "git" and not row.unchanged_at_least
        told = "git, asked every 30 s while it works" if row.unchanged_source == "git" else (
            "calls of editing tools in its log; its directory is in no git work tree")  # fmt: skip
        since = text.duration((now_ms - row.unchanged_since_ms) / 1000)
        out.append(Origin("unchanged", EXACT if exact else AT_LEAST, since, told))
    out += _limits(quotas, now_ms)
    return out


def _money(row: Row, look: Look | None) -> Iterator[Origin]:
    nothing = unread(row, tree=False)
    tokens = _token_grade(row, look)
    if nothing:
        yield Origin("tokens", UNKNOWN, "?", "no log of this session has been read yet")
        yield Origin("cost", UNKNOWN, "?", "no log of this session has been read yet")
        return
    own = row.own
    unlogged = row.surface == SURFACE and not row.log_path
    log = (
        "its telemetry: no log tells it"
        if unlogged
        else f"{safe(row.log_path, 300) or 'its log'}"
        + (f" ({safe(look.log, 80)})" if look and look.log else "")
    )
    parts = [f"{text.plural(own.responses, 'response')} in {log}"]
    if own.unknown_calls:
        parts.append(f"{text.plural(own.unknown_calls, 'call')} without usage")
    if look is not None and look.missing:
        parts.append(f"not in its logs: {safe(look.missing, 300)}")
    yield Origin("tokens", tokens, text.digits3(own.tokens.total), "; ".join(parts))
    if own.unpriced_tokens:
        grade = UNPRICED if not own.cost_nusd else AT_LEAST
        told = f"{text.digits3(own.unpriced_tokens)} tokens are of a model that no price list names"
    else:
        price = look.price if look is not None else ""
        grade = ESTIMATED if look is not None and look.price_estimated and tokens == EXACT else tokens
        told = (
            f"tokens at list price, {safe(price, 160)}" if price else "tokens at the list price of their day"
        )
        if look is not None and look.price_estimated:
            told += "; the price is of a model of nearly that name"
    yield Origin("cost", grade, cost_text(own, 9), told)
    rate = f"{text.rate(row.tree.tokens_per_min)} tok/min, {burn_text(row.tree)}"
    yield Origin("rate", grade if grade != AT_LEAST else tokens, rate,
                 "the responses of the last 60 s with those below it, each spread over the time that it took")  # fmt: skip


def _token_grade(row: Row, look: Look | None) -> str:
    if row.own.estimated or (look is not None and look.quality == "estimate"):
        return ESTIMATED
    if look is not None and look.quality == "unknown":
        return UNKNOWN
    if row.own.unknown_calls:
        return AT_LEAST
    return EXACT


def _context(row: Row) -> Origin:
    if row.context_used is None or unread(row, tree=False):
        return Origin("context", UNKNOWN, "?", "no call in its log has told it yet")
    share = context_pct(row)
    if share is None:
        return Origin(
            "context", EXACT, text.digits3(row.context_used), "its newest call; the window is not known"
        )
    return Origin("context", EXACT, text.percent(share), "the prompt of its newest call; the window from its log, "
                  "else from the price list")  # fmt: skip


def _state(row: Row) -> Origin:
    status = row.status
    told = {
        "registry": "what the agent itself publishes (its registry)", "log": "the newest records of its log",
        "process": "the process table",
    }.get(status.source, "nothing tells it" if status.source in {"", "none"} else safe(status.source, 40))  # fmt: skip
    grade = INFERRED if status.inferred else UNKNOWN if status.source in {"", "none"} else EXACT
    return Origin("state", grade, status.state.value, told)


def _process(row: Row) -> Origin:
    if row.pid is None:
        told = (
            "lives in the process of the one above it" if row.kind == "sub-agent" else "seen in its log only"
        )
        return Origin("pid", UNKNOWN, "–", told)
    if row.confidence in {"", "exact"}:
        return Origin("pid", EXACT, str(row.pid), "the process table; the process itself names the session")
    if row.confidence == "inferred":
        return Origin("pid", INFERRED, str(row.pid), "the process table; matched by folder and time")
    return Origin(
        "pid", INFERRED, str(row.pid), f"the process table; the match is {safe(row.confidence, 20)}"
    )


def _limits(quotas: Sequence[Quota], now_ms: int) -> Iterator[Origin]:
    for quota in quotas:
        age_ms = now_ms - quota.at_ms
        over = 0 < quota.resets_at_ms <= now_ms
        grade = UNKNOWN if over else STALE if age_ms > STALE_MS else EXACT
        told = f"{safe(quota.source, 40)}, {text.duration(age_ms / 1000)} ago" + (
            ", reset since: how full the new window is, nobody has said" if over else ""
        )
        yield Origin(
            f"limit {text.window_name(quota.window_minutes)}",
            grade,
            "?" if over else text.percent(quota.used_pct),
            told,
        )


def short(found: Sequence[Origin]) -> str:
    """`cost and pid exact … ` in one line: what is not exact by name, the rest together."""
    odd = [f"{MARKS[one.grade] or ''} {one.what} {one.grade}".strip() for one in found if one.grade != EXACT]
    if not odd:
        return f"exact: {', '.join(one.what for one in found)}"
    return ", ".join(odd) + ("; the rest exact" if len(odd) < len(found) else "")


def page(found: Sequence[Origin], title: str, width: int) -> list[list[tuple[str, str]]]:
    """Lines of (text, role) for a page of `width` cells."""
    lines = [[("Where the figures come from", "title"), (f"   {safe(title, 60)}", "dim")], []]
    for one in found:
        mark = MARKS[one.grade] or " "
        lines.append([
            (f"{one.what:<11}", "key"), (f"{mark:>3} {one.grade:<10}", ROLES.get(one.grade, "warm")),
            (one.value, "strong"),
        ])  # fmt: skip
        lines += [[(" " * 15 + part, "muted")] for part in wrap(one.told, max(20, width - 16))]
    lines += [
        [], [("exact      as the log, the registry or the process table says it", "dim")],
        [("estimated  ≈ by a rule, marked in every report    unpriced $? no price list names the model", "dim")],
        [("inferred   ~ by folder and time    at least ≥ a part is not known    stale: reported long ago", "dim")],
    ]  # fmt: skip
    return lines
