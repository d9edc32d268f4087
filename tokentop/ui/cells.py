"""What stands in the cells of the table. Pure.

A cell is (text, role); a role is a name of `theme.Palette`, so that a cell knows no colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tokentop import text
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures
from tokentop.ui.glyphs import LOOKS, RESTING, safe, sparkline

HOT_NUSD_PER_H = (10_000_000_000, 30_000_000_000)  # $/h from which a burn rate is warm, hot
HOT_PCT = (75, 90)  # of a context window or a plan limit
STALE_MS = 15 * 60_000  # a limit that nobody has reported for longer is shown with its age
VENDORS = {"claude": "anthropic", "codex": "openai", "gemini": "google"}  # who sets the plan limits

Cell = tuple[str, str]


class Scene(NamedTuple):
    """What a cell or a sort key needs beside its row."""

    now_ms: int
    width: int  # of the cell
    tree: bool  # figures include everything below
    alerts: Mapping[str, int]  # row key -> since when an alert stands
    limits: Mapping[str, Quota] = {}  # agent -> the most urgent limit of who sets its limits


def figures(row: Row, tree: bool) -> Figures:
    return row.tree if tree else row.own


def has_figures(row: Row) -> bool:
    """False for a tool or an orphan: it is a process without tokens of its own."""
    return row.kind not in {"tool", "orphan"}


def unread(row: Row, tree: bool) -> bool:
    """Nothing has been read about these figures: they are unknown, not zero.

    A process without a session, or a session of which no response and no other record has been read.
    """
    numbers = figures(row, tree)
    return not row.session_id or (not row.last_ms and not numbers.responses and not numbers.tokens.total)


def status(row: Row, scene: Scene) -> Cell:
    state = row.status.state
    look = LOOKS[state]
    mark = "~" if row.status.inferred else ""
    role = "inferred" if mark else state.value
    if scene.width < 4:
        return look.glyph, role
    short = scene.width < 12
    word = look.short if short else look.word
    if state is State.TOOL and row.status.detail:
        word = safe(row.status.detail, 40)
    return f"{look.glyph} {mark}{word}", role


def stuck(row: Row, scene: Scene) -> str:
    """`∅14m`: for so long it has spent without progress; where there is no room for the time the sign alone."""
    since = scene.alerts.get(row.key)
    if since is None or scene.width < 4:
        return ""
    return "∅" if scene.width < 12 else f"∅{text.duration((scene.now_ms - since) / 1000)}"


def agent(row: Row, scene: Scene) -> Cell:
    return safe(row.agent, 20), "dim" if row.kind == "tool" else ""


def project(row: Row, scene: Scene) -> Cell:
    return safe(row.project, 40), "muted"


def model(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    return safe(text.short_model(row.model), 40) or text.UNKNOWN, "muted"


def rate(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    numbers = figures(row, scene.tree)
    if unread(row, scene.tree) or not numbers.rates_known:
        return text.UNKNOWN, "dim"
    value = numbers.tokens_per_min
    if value <= 0:
        return (text.NOT_APPLICABLE if row.status.state in RESTING else "0"), "dim"
    return text.rate(value), "strong"


def spark(row: Row, scene: Scene) -> Cell:
    if not has_figures(row) or not row.spark or unread(row, scene.tree):
        return "", ""
    return sparkline(row.spark, scene.width), "spark" if any(row.spark) else "faint"


def burn(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    numbers = figures(row, scene.tree)
    if unread(row, scene.tree) or not numbers.rates_known:
        return text.UNKNOWN, "dim"
    if numbers.burn_nusd_per_h <= 0:
        if numbers.tokens_per_min > 0 and numbers.unpriced_tokens:
            return text.UNKNOWN, "dim"
        return (text.NOT_APPLICABLE if row.status.state in RESTING else "0"), "dim"
    heat = sum(numbers.burn_nusd_per_h >= step for step in HOT_NUSD_PER_H)
    return text.money(numbers.burn_nusd_per_h, sign="", width=scene.width), ("", "warm", "hot")[heat]


def cost_text(numbers: Figures, width: int = 6, partial: bool = False) -> str:
    """`$31.20`; `$?` unpriced, `≥` a part is unpriced, lost or (`partial`) unread, `≈` a part is estimated."""
    incomplete = partial or numbers.unpriced_tokens > 0 or numbers.unknown_calls > 0
    if numbers.cost_nusd == 0 and incomplete:
        return "$?"
    mark = "≥" if incomplete else "≈" if numbers.estimated else ""
    return text.money(numbers.cost_nusd, mark, width=width)


def cost(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    if unread(row, scene.tree):
        return text.UNKNOWN, "dim"
    numbers = figures(row, scene.tree)
    shown = cost_text(numbers, scene.width, partial=unread(row, tree=False))
    return shown, "dim" if shown in {"$?", "$0.00"} else ""


def context_pct(row: Row) -> float | None:
    """How full the context window is in per cent; None where the use or the window is not known."""
    if row.context_used is None or row.context_window <= 0 or unread(row, tree=False):
        return None
    return 100 * row.context_used / row.context_window


def context(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    share = context_pct(row)
    if share is None:
        return text.UNKNOWN, "dim"
    heat = sum(share >= step for step in HOT_PCT)
    return text.percent(share), ("", "warm", "hot")[heat]


def age(row: Row, scene: Scene) -> Cell:
    if row.started_ms <= 0:
        return text.UNKNOWN, "dim"
    return text.duration((scene.now_ms - row.started_ms) / 1000), "muted"


def tokens_of(pick: Callable[[Figures], int]) -> Callable[[Row, Scene], Cell]:
    def cell(row: Row, scene: Scene) -> Cell:
        if not has_figures(row):
            return "", ""
        if unread(row, scene.tree):
            return text.UNKNOWN, "dim"
        return text.digits3(pick(figures(row, scene.tree))), "muted"

    return cell


def pid(row: Row, scene: Scene) -> Cell:
    if row.pid is None:
        return text.NOT_APPLICABLE, "faint"
    inferred = row.confidence == "inferred"
    return f"{'~' if inferred else ''}{row.pid}", "inferred" if inferred else "muted"


def where(row: Row, scene: Scene) -> Cell:
    """`tmux session:window.pane`; where the room is short the pane matters more than the word and the session."""
    shown = safe(row.where, 100)
    if len(shown) > scene.width:
        shown = shown.removeprefix("tmux ")
    session, colon, pane = shown.rpartition(":")
    room = scene.width - len(pane) - 2
    if len(shown) > scene.width and colon and room > 0:
        shown = f"{session[:room]}…:{pane}"
    return shown, "muted"


# ---------------------------------------------------------------- by chooser


def memory(row: Row, scene: Scene) -> Cell:
    return (text.memory(row.rss_bytes), "muted") if row.pid is not None else (text.NOT_APPLICABLE, "faint")


def cpu(row: Row, scene: Scene) -> Cell:
    if row.pid is None:
        return text.NOT_APPLICABLE, "faint"
    return text.percent_fine(row.cpu_pct), "muted" if row.cpu_pct >= 0.05 else "dim"


def sub_agents(row: Row, scene: Scene) -> Cell:
    """Working and all below, `1/3`."""
    if not has_figures(row):
        return "", ""
    if not row.sub_agents:
        return (text.UNKNOWN if unread(row, tree=True) else "0"), "dim"
    return f"{row.working_below}/{row.sub_agents}", "" if row.working_below else "muted"


def hit_pct(numbers: Figures) -> float | None:
    """Which part of the prompts came from the cache, in per cent; None where nothing was prompted."""
    prompt = numbers.tokens.prompt
    return 100 * numbers.tokens.cache_read / prompt if prompt else None


def cache_hit(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    if unread(row, scene.tree):
        return text.UNKNOWN, "dim"
    share = hit_pct(figures(row, scene.tree))
    return (text.NOT_APPLICABLE, "faint") if share is None else (text.percent(share), "muted")


def last_tool(row: Row, scene: Scene) -> Cell:
    if not has_figures(row):
        return "", ""
    return (safe(row.last_tool, 40), "muted") if row.last_tool else (text.UNKNOWN, "dim")


def branch(row: Row, scene: Scene) -> Cell:
    return safe(row.branch, 60), "muted"


def most_urgent(quotas: Iterable[Quota], agents: Iterable[str], now_ms: int) -> dict[str, Quota]:
    """The fullest limit for each agent; a window that was reset since counts as empty."""
    by_provider: dict[str, Quota] = {}
    for quota in sorted(quotas, key=lambda q: (not 0 < q.resets_at_ms <= now_ms, q.used_pct)):
        by_provider[quota.provider] = quota
    found = ((agent, by_provider.get(VENDORS.get(agent, "")) or by_provider.get(agent)) for agent in agents)
    return {agent: quota for agent, quota in found if quota is not None}


def limit_pct(row: Row, scene: Scene) -> float | None:
    """The most urgent limit of who sets the agent's limits, in per cent; None where it is not known."""
    quota = scene.limits.get(row.agent)
    if quota is None or not has_figures(row) or 0 < quota.resets_at_ms <= scene.now_ms:
        return None
    return quota.used_pct


def limit(row: Row, scene: Scene) -> Cell:
    """`5h 78%`; dim where nobody has reported it for long, `?` where its window was reset since."""
    quota = scene.limits.get(row.agent)
    if quota is None or not has_figures(row):
        return ("", "") if not has_figures(row) else (text.UNKNOWN, "dim")
    name, share = text.window_name(quota.window_minutes), limit_pct(row, scene)
    if share is None:
        return f"{name} {text.UNKNOWN}", "dim"
    heat = sum(share >= step for step in HOT_PCT)
    stale = scene.now_ms - quota.at_ms > STALE_MS
    return f"{name} {text.percent(share)}", "dim" if stale else ("", "warm", "hot")[heat]


def host(row: Row, scene: Scene) -> Cell:
    return (safe(row.host, 60), "muted") if row.host else (text.UNKNOWN, "dim")


def in_state(row: Row, scene: Scene) -> Cell:
    since_ms = row.status.since_ms
    if since_ms <= 0:
        return text.UNKNOWN, "dim"
    return text.duration((scene.now_ms - since_ms) / 1000), "muted"
