"""The detail drawer in sections: first what is asked most, in six lines; then the steps, tokens, money, processes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokentop import text
from tokentop.nouns.looks import Look, Minutes, Step
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Alert, Row
from tokentop.nouns.sessions import State
from tokentop.ui import facts, origins
from tokentop.ui.cells import HOT_PCT, context_pct, cost_text, unread
from tokentop.ui.columns import MINUTE, WINDOWS_MIN
from tokentop.ui.facts import Field, section
from tokentop.ui.glyphs import LOOKS, safe
from tokentop.ui.widgets.limits import gauge

STEPS_SHOWN = 20
_BAR = 16
_RUNS = frozenset({State.TOOL, State.WORKING, State.PERMISSION, State.FROZEN})


def drawer(
    row: Row, look: Look | None, below: Sequence[Row], now_ms: int, alerts: Sequence[Alert],
    quotas: Sequence[Quota], window_min: int = MINUTE,
) -> list[Field]:  # fmt: skip
    """All fields of the drawer. `look` is None until it has been answered; `below` are the rows of its sub-agents.

    The row's rates are averages over `window_min`, which is named where it is not the last minute.
    """
    if row.kind in {"tool", "orphan"}:
        return [
            *facts.state_fields(row, now_ms, alerts), *facts.process_fields(row, now_ms), *_ports(look),
            *facts.place_fields(row), *_quality(row, look),
        ]  # fmt: skip
    found = origins.origins(row, look, (), now_ms)
    limits = list(facts.limit_fields(row, now_ms, quotas))
    return [
        *_head(row, look, now_ms, limits, alerts, window_min), Field("sources", origins.short(found), "dim", True),
        section("steps, newest first"), *_steps(row, look, now_ms),
        section("tokens of the last 60 min"), *_minutes(look),
        section("tokens and money"), *facts.over_window(facts.figure_fields(row), row, window_min), *limits,
        *_compactions(row, look, now_ms),
        *_sub_agents(row, below),
        section("process"), *facts.process_fields(row, now_ms), *_ports(look), *facts.child_fields(row, now_ms),
        section("session"), *facts.place_fields(row), *_quality(row, look),
    ]  # fmt: skip


# ---------------------------------------------------------------- the first lines


def _head(
    row: Row,
    look: Look | None,
    now_ms: int,
    limits: Sequence[Field],
    alerts: Sequence[Alert],
    window_min: int,
) -> Iterator[Field]:
    status = row.status
    state = LOOKS[status.state]
    shown = f"{state.glyph} {'~' if status.inferred else ''}{state.word}"
    if status.detail:
        shown += f" {safe(status.detail, 120)}"
    if status.since_ms > 0:
        shown += f", {text.duration_long((now_ms - status.since_ms) / 1000)}"
    yield Field("is", shown, status.state.value, True)
    for alert in alerts:
        if alert.row_key == row.key and alert.kind != "no-progress":  # the line `unchanged` tells that
            yield Field("alert", facts.alert_text(alert, now_ms), "hot", True)
    yield Field("does", *_does(row, look, now_ms), wide=True)
    yield Field("spends", _spends(row, window_min), "strong", True)
    yield Field("context", *_context(row, look, now_ms), wide=True)
    if row.unchanged_since_ms:
        by = "git" if row.unchanged_source == "git" else "edit tools, no git here"
        role = "warm" if any(a.kind == "no-progress" and a.row_key == row.key for a in alerts) else ""
        yield Field("unchanged", f"{facts.unchanged_text(row, now_ms)} ({by})", role, True)
    elif limits:
        yield Field(
            "limits", ", ".join(f"{f.label.removeprefix('limit ')} {f.value}" for f in limits), "", True
        )
    yield Field("process", _where(row, look), "inferred" if _is_inferred(row) else "", True)


def _does(row: Row, look: Look | None, now_ms: int) -> tuple[str, str]:
    """The newest step; before the log has been looked into, what the state tells."""
    if look is None:
        return "…", "dim"
    tools = [step for step in look.steps if step.kind == "tool"]
    if not tools:
        return (safe(look.steps_note) or "no tool call yet"), "dim"
    last = tools[-1]
    age = f", {text.duration((now_ms - last.at_ms) / 1000)} ago" if last.at_ms else ""
    runs = _is_running(row, last, look)
    lead = "" if runs else "last: "
    return f"{lead}{last.name} {last.detail}".rstrip() + age, "tool" if runs else ""


def _spends(row: Row, window_min: int) -> str:
    if not row.session_id:
        return "? no session is known for this process"
    own, nothing = row.own, unread(row, tree=False)
    if nothing and row.tree == own:
        return "? no log has been read yet"
    cost = cost_text(row.tree, 9, partial=nothing and row.tree != own)
    since = f" since {text.clock(row.started_ms)}" if row.started_ms > 0 else ""
    over = "" if window_min == MINUTE else f" over {WINDOWS_MIN[window_min]}"
    if not row.tree.rates_known:
        return f"{cost}{since}, ?{over}"
    return f"{cost}{since}, {facts.burn_text(row.tree)}, {text.rate(row.tree.tokens_per_min)} tok/min{over}"


def _context(row: Row, look: Look | None, now_ms: int) -> tuple[str, str]:
    share = context_pct(row)
    if row.context_used is None or unread(row, tree=False):
        return "? not told yet", "dim"
    used = text.digits3(row.context_used)
    compacted = _compacted(row, look, now_ms)
    if share is None:
        return f"{used}, window unknown{compacted}", ""
    role = ("", "warm", "hot")[sum(share >= step for step in HOT_PCT)]
    bar = gauge(share, _BAR)
    return f"{bar} {text.percent(share)}, {used} of {text.digits3(row.context_window)}{compacted}", role


def _compacted(row: Row, look: Look | None, now_ms: int) -> str:
    if look is None or not look.compactions:
        return ""
    ago = text.duration((now_ms - look.compacted_ms) / 1000)
    return f", compacted {text.plural(look.compactions, 'time')}, last {ago} ago"


def _where(row: Row, look: Look | None) -> str:
    if row.pid is None:
        return "– none of its own" if row.kind == "sub-agent" else "– known from its log only"
    sure = f" ~{safe(row.confidence, 20)}" if _is_inferred(row) else ""
    ports = ""
    if look is not None and look.ports:
        numbers = sorted({port.port for port in look.ports})
        ports = ", listens on " + " ".join(f":{number}" for number in numbers[:6])
    kids = (
        f", {text.plural(len(row.children), 'child').replace('childs', 'children')}" if row.children else ""
    )
    usage = f"{text.percent_fine(row.cpu_pct)} cpu, {text.memory(row.rss_bytes)}"
    return f"pid {row.pid}{sure}, {usage}{kids}{ports}"


def _is_inferred(row: Row) -> bool:
    return row.pid is not None and row.confidence not in {"", "exact"}


# ---------------------------------------------------------------- sections


def _is_running(row: Row, step: Step, look: Look) -> bool:
    """An open call runs if it is the newest thing in the log and the session is at work."""
    return step.result == "open" and step is look.steps[-1] and row.status.state in _RUNS


def _steps(row: Row, look: Look | None, now_ms: int) -> Iterator[Field]:
    if look is None:
        yield Field("", "the log is being read", "dim", True)
        return
    if look.steps_note:
        yield Field("", safe(look.steps_note), "dim", True)
    elif not look.steps:
        yield Field("", "none yet", "dim", True)
    for step in reversed(look.steps[-STEPS_SHOWN:]):
        yield step_field(step, now_ms, running=_is_running(row, step, look))


def step_field(step: Step, now_ms: int, *, running: bool = False) -> Field:
    """`12:03:11  Bash python -m pytest -x     12s`; a failure is marked, an answer begins with its model."""
    at = text.clock(step.at_ms, seconds=True) if step.at_ms else ""
    took = seconds_text(step.took_ms) if step.took_ms is not None else ""
    if step.kind == "prompt":
        return Field(at, f"you: {safe(step.detail)}", "strong", True)
    if step.kind == "compaction":
        return Field(at, safe(step.detail), "warm", True)
    if step.kind == "answer":
        name = text.short_model(step.name) if step.name else "model"
        return Field(at, f"{safe(name, 40)}: {safe(step.detail)}", "muted", True)
    if running:
        took = f"… {text.duration((now_ms - step.at_ms) / 1000)}" if step.at_ms else "…"
    elif step.result == "failed":
        took = f"✗ {took}".rstrip()
    elif step.result == "open":
        took = "no result"
    role = "tool" if running else "error" if step.result == "failed" else ""
    return Field(at, f"{safe(step.name, 40)} {safe(step.detail)}".rstrip(), role, True, took)


def seconds_text(took_ms: int) -> str:
    """`0.3s` below ten seconds, else as durations are shown."""
    if took_ms < 9_950:
        return "<0.1s" if took_ms < 50 else f"{took_ms / 1000:.1f}s"
    return text.duration(took_ms / 1000)


def _minutes(look: Look | None) -> Iterator[Field]:
    if look is None or look.minutes is None:
        yield Field(
            "", "being looked up" if look is None else "? neither memory nor the store tell", "dim", True
        )
        return
    if not any(map(any, _kinds(look.minutes).values())):
        yield Field("", "none in the last 60 minutes", "dim", True)
        return
    for name, cells in _kinds(look.minutes).items():
        total, top = text.digits3(sum(cells)), text.digits3(max(cells))
        tail = (
            f"{total:>6}, top {top:>6}/min"  # of one width: a minute stands in the same column of each line
        )
        yield Field(name, "", "spark", True, tail, tuple(map(float, cells)))


def _kinds(minutes: Minutes) -> dict[str, tuple[int, ...]]:
    return {
        "output": minutes.output, "cache write": minutes.writes, "input": minutes.input, "cache read": minutes.reads
    }  # fmt: skip


def _compactions(row: Row, look: Look | None, now_ms: int) -> Iterator[Field]:
    if look is None or not look.seen_ms:
        return
    since = text.clock_near(look.seen_ms, now_ms)
    last = f", last {text.clock_near(look.compacted_ms, now_ms)}" if look.compacted_ms else ""
    yield Field("compacted", f"{look.compactions} since {since}, {row.compactions} in 1h{last}")


def _sub_agents(row: Row, below: Sequence[Row]) -> Iterator[Field]:
    if not row.sub_agents and not below:
        return
    yield section(f"sub-agents {row.sub_agents}, working {row.working_below}")
    for one in below[:20]:
        look = LOOKS[one.status.state]
        tail = f"{text.rate(one.tree.tokens_per_min)}/min {cost_text(one.tree)}"
        name = safe(one.title, 160) or safe(one.session_id, 20)
        yield Field(f"{look.glyph} {look.short}", f"{name}", one.status.state.value, True, tail)
    if len(below) > 20:
        yield Field("", f"and {len(below) - 20} more", "dim", True)


def _ports(look: Look | None) -> Iterator[Field]:
    if look is None:
        return
    for port in look.ports:
        yield Field(
            "port", f":{port.port} {safe(port.command, 120)} (pid {port.pid}, {port.address})", "", True
        )
    if look.ports_note:
        yield Field("ports", safe(look.ports_note), "dim", True)


def _quality(row: Row, look: Look | None) -> Iterator[Field]:
    notes = facts.quality(row)
    if look is not None and look.quality not in {"", "exact"}:  # what the agent logs is no more than this
        notes = [note for note in notes if not note.startswith("exact")]
        notes.append(f"the token counts of {row.agent} are {look.quality}: {look.missing}".rstrip(": "))
    for at, note in enumerate(notes):
        yield Field("quality" if at == 0 else "", safe(note), "dim")
