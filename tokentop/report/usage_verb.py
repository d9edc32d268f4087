"""`tokentop usage`: what was asked for, checked, and printed in the form that was asked for."""

from __future__ import annotations

import argparse
import os
import sys

from tokentop.clock import now_ms
from tokentop.engine.when import BadTime, parse_when
from tokentop.errors import NothingMatched, UsageError
from tokentop.ledger import prices
from tokentop.settings.zone import local_zone
from tokentop.store.reader import Filter

from . import access, usage
from .out import health_document, print_json

Arguments = argparse.Namespace


def run(arguments: Arguments) -> int:
    """Print what was used, in the form that was asked for."""
    by = [part.strip() for value in arguments.by or ["agent"] for part in value.split(",") if part.strip()]
    for name in by:
        if name not in usage.DIMENSIONS:
            raise UsageError(f"--by {name}: choose from {', '.join(usage.DIMENSIONS)}")
    by = list(dict.fromkeys(by))
    zone, at_ms = local_zone(os.environ), now_ms()
    try:
        since = parse_when(arguments.since, zone, at_ms, end=False) if arguments.since else None
        until = (
            parse_when(arguments.until, zone, at_ms, end=True, after_ms=since) if arguments.until else None
        )
    except BadTime as error:
        raise UsageError(str(error)) from error
    if since is not None and until is not None and since >= until:
        raise UsageError(f"--since {arguments.since} is not before --until {arguments.until}")
    wanted = Filter(since, until, arguments.agent or "", arguments.project or "", arguments.model or "")
    _check_agent(wanted.agent)
    plain = arguments.json or arguments.csv or arguments.md
    with access.opened(quiet=plain) as store:
        access.bring_days(store, zone)
        if arguments.compare:
            return _compare(arguments, store, wanted, by, at_ms)
        if arguments.cache:
            return _cache(arguments, store, wanted, by, at_ms)
        lines = usage.collect(store.db, wanted, by, zone)
        if arguments.json:
            health = health_document(store.db, store.current, store.notes)
            print_json(
                usage.document(lines, by, wanted, at_ms, health) | usage.cut_document(store.db, wanted)
            )
        elif arguments.csv:
            sys.stdout.write(usage.as_csv(lines, by))
        elif lines:
            print(_usage_text(arguments, store, wanted, by, lines, at_ms))
            if not plain:
                _say_problems(store)
        _say_cut(arguments, store, wanted)
    if lines:
        return 0
    if any((wanted.agent, wanted.project, wanted.model, arguments.since, arguments.until)):
        raise NothingMatched("no usage matches; widen the filters")
    if not plain:
        print("no usage yet; run `tokentop doctor` to see where it was looked for")
    return 0


def _usage_text(
    arguments: Arguments,
    store: access.Access,
    wanted: Filter,
    by: list[str],
    lines: list[usage.Line],
    at_ms: int,
) -> str:
    """The form that was asked for, a table without one."""
    from . import usage_forms

    if arguments.heatmap or arguments.chart:
        from tokentop.sevenbits import to_ascii

        if arguments.heatmap:
            text = usage_forms.heatmap(store.db, wanted, local_zone(os.environ), at_ms)
        else:
            text = usage_forms.chart(lines, by)
        return to_ascii(text) if store.settings.ascii else text
    if arguments.md:
        return usage_forms.markdown(lines, by).rstrip("\n")
    return usage.as_text(lines, by)


def _cache(arguments: Arguments, store: access.Access, wanted: Filter, by: list[str], at_ms: int) -> int:
    """What the cache saved."""
    from . import usage_cache

    if arguments.csv or arguments.md or arguments.chart or arguments.heatmap:
        raise UsageError("--cache is a table or, with --json, a document")
    if "session" in by or "hour" in by:
        raise UsageError("--cache is worked out from days: leave session and hour out of --by")
    groups = usage_cache.collect(store.db, wanted, by, local_zone(os.environ), prices(store.settings))
    if arguments.json:
        print_json(usage_cache.document(groups, by, at_ms) | usage.cut_document(store.db, wanted))
    elif groups:
        print(usage_cache.as_text(groups, by))
    _say_cut(arguments, store, wanted)
    if not groups:
        raise NothingMatched("no usage matches; widen the filters")
    return 0


def _compare(arguments: Arguments, store: access.Access, wanted: Filter, by: list[str], at_ms: int) -> int:
    """One time beside the time before it."""
    from . import usage_forms

    if arguments.csv or arguments.md or arguments.chart or arguments.heatmap:
        raise UsageError("--compare is a table or, with --json, a document")
    if "day" in by or "hour" in by:
        raise UsageError(
            "--compare: the days of two times are never the same; leave day and hour out of --by"
        )
    zone = local_zone(os.environ)
    spans = usage_forms.two_spans(wanted, zone, at_ms)
    pairs = usage_forms.compared(store.db, spans, by, zone)
    if arguments.json:
        print_json(
            usage_forms.comparison_document(pairs, spans, by, at_ms) | usage.cut_document(store.db, *spans)
        )
    elif pairs:
        print(usage_forms.comparison_text(pairs, spans, by, zone))
        _say_problems(store)
    _say_cut(arguments, store, *spans)
    if not pairs:
        raise NothingMatched("no usage in either time; widen the filters")
    return 0


def _say_cut(arguments: Arguments, store: access.Access, *spans: Filter) -> None:
    """What the edges of the time leave out, beside a table or CSV; a heat map has whole days."""
    note = "" if arguments.json or arguments.heatmap else usage.cut_note(store.db, *spans)
    if note:
        print(f"\n{note}", file=sys.stderr)


def _check_agent(name: str) -> None:
    from tokentop.agents import all_agents

    known = [agent.id for agent in all_agents()]
    if name and name not in known:
        raise UsageError(f"--agent {name}: no such agent; choose from {', '.join(known)}")


def _say_problems(store: access.Access) -> None:
    found = health_document(store.db, store.current, store.notes)
    count = found["unparsed_lines"] + len(found["errors"])
    if count:
        print(f"\n{count} problem{'s' * (count > 1)} while reading; see: tokentop doctor", file=sys.stderr)
