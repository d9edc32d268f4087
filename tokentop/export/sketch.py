"""What is said of a turn and of its parts in a few words, for text, Markdown and HTML. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import tzinfo

from tokentop import text
from tokentop.engine.days import local
from tokentop.engine.timeline import Item, Timeline, Turn
from tokentop.nouns.outline import Deed
from tokentop.nouns.usage import Figures, Kind

from .values import dollars, is_unpriced

_TELLING = ("error", "limit", "interrupt", "action", "compaction", "permission")


def when(at_ms: int, zone: tzinfo, *, date: bool = True) -> str:
    """Local time; `?` where none is known."""
    return local(at_ms, zone).strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S") if at_ms else "?"


def money(own: Figures) -> str:
    """Dollars with what is known of them: `$0.1015`, `≈$1.20`, `unpriced`, `?`."""
    if is_unpriced(own):
        return "unpriced" if own.unpriced_tokens else "?"
    return (
        ("≈" if own.estimated else "")
        + dollars(own.cost_nusd)
        + ("+?" if own.unpriced_tokens or own.unknown_calls else "")
    )


def count(number: int) -> str:
    """A count of what is rare: none is a dash."""
    return f"{number:,}" if number else "–"


def tools(turn: Turn, most: int = 4) -> str:
    """`pytest 3, Edit 2, +1`: how often each tool was called; of a command its program."""
    counts = Counter(
        item.deed.target if item.deed.takes == "program" else item.deed.name
        for item in turn.items
        if item.kind == "tool" and item.deed is not None
    )
    shown = [f"{name} {count}" if count > 1 else name for name, count in counts.most_common(most)]
    if len(counts) > most:
        shown.append(f"+{len(counts) - most}")
    return ", ".join(shown)


def events(turn: Turn) -> list[str]:
    """What stands out in a turn: sub-agents, errors, compactions, waits, failed tools, tests, actions."""
    found: Counter[str] = Counter()
    for item in turn.items:
        if item.branch is not None:
            found["sub-agent"] += 1
        if item.kind in _TELLING:
            found[short(item)] += 1
        if item.kind == "hidden":
            found["hidden spend"] += 1
        if item.deed is not None and item.kind == "tool":
            if item.deed.tests:
                found[f"tests {item.deed.tests}"] += 1
            elif item.deed.result in {"failed", "denied"}:
                found[f"tool {item.deed.result}"] += 1
    return [f"{count}x {name}" if count > 1 else name for name, count in found.items()]


def short(item: Item) -> str:
    """One thing in a few words, without its time."""
    deed = item.deed
    if item.receipt is not None:
        return f"{item.receipt.action.value} ({item.receipt.result})"
    if deed is None:
        return {"agent": "sub-agent"}.get(item.kind, item.kind)
    if item.kind == "compaction":
        return "compacted"
    if item.kind == "permission":
        waited = f" {text.duration_long(deed.took_ms / 1000)}" if deed.took_ms else ""
        return f"waited for permission{waited}" + (", denied" if deed.result == "denied" else "")
    if item.kind == "interrupt":
        return "interrupted"
    return f"{item.kind} {deed.name}".strip()


def item_line(item: Item) -> str:
    """One thing with its details, without its time."""
    if item.event is not None:
        usage, tokens = item.event.usage, item.event.usage.tokens
        name = text.short_model(usage.model) or "unknown model"
        if usage.kind is Kind.UNKNOWN:
            return f"{name}: tokens are not in the log"
        writes = tokens.cache_write_5m + tokens.cache_write_1h
        parts = [
            f"in {tokens.input:,}",
            f"read {tokens.cache_read:,}",
            f"write {writes:,}",
            f"out {tokens.output:,}",
        ]
        cost = "unpriced" if item.event.cost_nusd is None else dollars(item.event.cost_nusd)
        missed = f", missed {item.miss.tokens:,}" if item.miss.tokens else ""
        why = f" ({item.miss.why})" if item.miss.why else ""
        hidden = "hidden, " if usage.kind is Kind.HIDDEN else ""
        return f"{hidden}{name}: {', '.join(parts)}{missed}{why}, {cost}"
    if item.kind == "tool" and item.deed is not None:
        deed = item.deed
        target = deed.target.replace("\n", ", ")
        took = "" if deed.took_ms is None else f" {seconds(deed.took_ms)}"
        lines = f" +{deed.added} -{deed.removed}" if deed.added is not None else ""
        tests = f" tests {deed.tests}" if deed.tests else ""
        lines += f" {made(deed)}".rstrip()
        return f"{deed.name} {target}".strip() + lines + tests + f" {result(deed.result)}{took}".rstrip()
    return short(item)


def made(deed: Deed) -> str:
    """Commits and pull requests that a call made: `commit 1a2b3c4`, `owner/name#12`; "" = none that its log names."""
    commits = [one[:8] for one in deed.commits.split() if one != "?"]
    return " ".join([*(["commit", *commits] if commits else []), *deed.pulls.split()])


def result(told: str) -> str:
    return {"open": "no result", "": ""}.get(told, told)


def seconds(ms: int) -> str:
    """`0.2s`, `12.3s`, `3m12s`."""
    return f"{ms / 1000:.1f}s" if ms < 60_000 else text.duration_long(ms / 1000)


def gaps(told: Timeline) -> list[str]:
    """What is not known of the session, in sentences."""
    found = []
    if not told.tools_known:
        found.append(f"tools are not known: {told.note or 'no log of it was read'}")
    elif told.note:
        found.append(f"tools are known in part: {told.note}")
    if told.purged:
        found.append(f"{text.plural(told.purged, 'call')} known by their sum alone: in no turn")
    if told.tree.unpriced_tokens:
        found.append(f"{told.tree.unpriced_tokens:,} tokens have no price")
    if told.tree.unknown_calls:
        found.append(f"the tokens of {text.plural(told.tree.unknown_calls, 'call')} are not in the log")
    if told.turns and not any(turn.prompted for turn in told.turns):
        found.append("the log tells no prompts: each response is a turn")
    if told.untimed:
        found.append(f"{text.plural(len(told.untimed), 'step')} without a time")
    if told.unfinished:
        found.append("sub-agents further below are left out")
    return found
