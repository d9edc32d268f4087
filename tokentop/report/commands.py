"""The verbs that print: each is one function of the parsed arguments."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from tokentop.clock import now_ms
from tokentop.config import local_zone
from tokentop.engine.when import BadTime, parse_when
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.ledger import prices
from tokentop.model import Session
from tokentop.store.reader import Filter

from . import access, usage
from .out import health_document, iso, print_json

Arguments = argparse.Namespace


def run(command: str, arguments: Arguments) -> int:
    """Run one verb. Raises UsageError, Failure, NothingMatched, SettingsError."""
    try:
        return _VERBS[command](arguments)
    except sqlite3.Error as error:
        raise Failure(f"the database cannot be read: {error}") from error


def _usage(arguments: Arguments) -> int:
    by = [part.strip() for value in arguments.by or ["agent"] for part in value.split(",") if part.strip()]
    for name in by:
        if name not in usage.DIMENSIONS:
            raise UsageError(f"--by {name}: choose from {', '.join(usage.DIMENSIONS)}")
    by = list(dict.fromkeys(by))
    zone, at_ms = local_zone(os.environ), now_ms()
    try:
        since = parse_when(arguments.since, zone, at_ms, end=False) if arguments.since else None
        until = parse_when(arguments.until, zone, at_ms, end=True) if arguments.until else None
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
            print_json(usage.document(lines, by, wanted, at_ms, health))
        elif arguments.csv:
            sys.stdout.write(usage.as_csv(lines, by))
        elif lines:
            print(_usage_text(arguments, store, wanted, by, lines, at_ms))
            if not plain:
                _say_problems(store)
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
        from .chart import seven_bits

        if arguments.heatmap:
            text = usage_forms.heatmap(store.db, wanted, local_zone(os.environ), at_ms)
        else:
            text = usage_forms.chart(lines, by)
        return seven_bits(text) if store.settings.ascii else text
    if arguments.md:
        return usage_forms.markdown(lines, by).rstrip("\n")
    return usage.as_text(lines, by)


def _cache(arguments: Arguments, store: access.Access, wanted: Filter, by: list[str], at_ms: int) -> int:
    """What the cache saved."""
    from tokentop.ledger import prices

    from . import usage_cache

    if arguments.csv or arguments.md or arguments.chart or arguments.heatmap:
        raise UsageError("--cache is a table or, with --json, a document")
    if "session" in by or "hour" in by:
        raise UsageError("--cache is worked out from days: leave session and hour out of --by")
    groups = usage_cache.collect(store.db, wanted, by, local_zone(os.environ), prices(store.settings))
    if arguments.json:
        print_json(usage_cache.document(groups, by, at_ms))
    elif groups:
        print(usage_cache.as_text(groups, by))
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
        print_json(usage_forms.comparison_document(pairs, spans, by, at_ms))
    elif pairs:
        print(usage_forms.comparison_text(pairs, spans, by, zone))
        _say_problems(store)
    if not pairs:
        raise NothingMatched("no usage in either time; widen the filters")
    return 0


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


def _sync(arguments: Arguments) -> int:
    with access.opened(quiet=arguments.json) as store:
        health = health_document(store.db, store.current, store.notes)
        if arguments.json:
            print_json(
                {
                    "schema": "tokentop.sync/1",
                    "generated_at": iso(now_ms()),
                    "new_events": store.events,
                    "health": health,
                }
            )
        else:
            print(
                f"{store.events:,} new events; {health['files']:,} files, {health['bytes']:,} bytes read in all,"
                f" {health['duplicates']:,} repeats dropped, {health['unparsed_lines']:,} lines unreadable"
            )
            for note in store.notes:
                print(note)
    return 0


def _sessions(arguments: Arguments) -> int:
    from tokentop.history import Ask

    from . import sessions

    query = " ".join(arguments.query)
    ask = Ask(query, arguments.sort or "", flat=True, limit=arguments.limit)
    with access.opened(quiet=arguments.json) as store:
        sessions.bring_up_to_date(store, quiet=arguments.json)
        zone = local_zone(os.environ)
        if arguments.said:
            answer = sessions.said(store, ask, zone, now_ms(), quiet=arguments.json)
            documents, text = sessions.listed(store.db, answer.order, zone)
        else:
            documents, text, answer = sessions.listing(store.db, ask, zone, now_ms())
    if answer.problem:
        raise UsageError(answer.problem)
    if arguments.json:
        print_json({"schema": "tokentop.sessions/1", "generated_at": iso(now_ms()), "rows": documents})
    elif documents:
        print(text)
    if not documents:
        raise NothingMatched(f"no session matches {query!r}" if query.split() else "no sessions yet")
    return 0


def _session(arguments: Arguments) -> int:
    from tokentop.store import reader

    with access.opened(quiet=arguments.json) as store:
        found = reader.find_session(store.db, arguments.id)
        own = [entry for entry in found if "/" not in entry[0].id] or found
        if not own:
            raise NothingMatched(f"no session begins with {arguments.id!r}; see: tokentop sessions")
        if len(own) > 1:
            names = ", ".join(session.id for session, _ in own[:5])
            raise UsageError(f"{arguments.id!r} is not unique: {names}")
        _tell_session(arguments, store, own[0][0])
    return 0


def _tell_session(arguments: Arguments, store: access.Access, found: Session) -> None:
    """One session in the form that was asked for."""
    from tokentop.chronicle import tell

    from . import outcome, session

    zone = local_zone(os.environ)
    if arguments.transcript:
        print(session.transcript_text(found, zone))
        return
    told = tell(
        store.db, found.agent, found.id, now_ms(), prices=prices(store.settings), keep=store.keep_outline
    )
    if told is None:
        raise NothingMatched(f"{found.id} is gone from the store")
    days = store.settings.survive_days
    bought = outcome.of_one(store.db, found.agent, found.id, days, now_ms())
    if arguments.json:
        print_json(
            {
                "schema": "tokentop.session/1",
                "generated_at": iso(now_ms()),
                **session.as_document(store.db, told, bought),
            }
        )
    elif arguments.md:
        from tokentop.export.markdown import markdown

        sys.stdout.write(markdown(told, zone))
    elif arguments.html:
        from tokentop.export.page import page

        print(f"written to {session.write_page(arguments.html, page(told, zone))}")
    else:
        print(session.as_text(told, zone, outcome.one_line(bought, days) if bought is not None else ""))


def _day(arguments: Arguments) -> int:
    from .day import day

    return day(arguments.command, arguments.json)


def _outcome(arguments: Arguments) -> int:
    from .outcome import outcome

    return outcome(arguments)


def _live(arguments: Arguments) -> int:
    from . import snapshot
    from .live import check_complete, one_snapshot

    picture = one_snapshot()
    if arguments.json:
        print_json(snapshot.document(picture))
    else:
        print(snapshot.as_text(picture))
    check_complete(picture)
    return 0


def _demo(arguments: Arguments) -> int:
    from tokentop.demo import DemoSource
    from tokentop.report import snapshot

    picture = DemoSource(arguments.seed).snapshot(now_ms())
    if arguments.json:
        print_json(snapshot.document(picture))
    else:
        print("(invented agents)\n" + snapshot.as_text(picture))
    return 0


def _kill(arguments: Arguments) -> int:
    from .kill import kill

    return kill(arguments)


def _providers(arguments: Arguments) -> int:
    from .providers import providers

    return providers(arguments.do, arguments.ids, arguments.json)


def _reconcile(arguments: Arguments) -> int:
    from .reconcile import run as compare

    return compare(arguments.since, arguments.key, arguments.json, arguments.by_key)


def _watch(_arguments: Arguments) -> int:
    from .live import watch

    return watch()


def _forecast(arguments: Arguments) -> int:
    from .forecast import backtest, forecast

    return backtest(arguments.json) if arguments.backtest else forecast(arguments.json)


def _prices(arguments: Arguments) -> int:
    from tokentop.config import load
    from tokentop.ledger import prices

    table = prices(load(os.environ))
    if not arguments.model:
        print(f"price table {table.version}; name a model: tokentop prices claude-sonnet-4-5")
        return 0
    found = table.describe(arguments.model, now_ms())
    if found is None:
        raise NothingMatched(f"no price for {arguments.model!r}; add it under [prices] in the settings")
    print("\n".join(found.lines()))
    return 0


def _doctor(arguments: Arguments) -> int:
    from tokentop.ledger import prices
    from tokentop.report import doctor

    with access.opened(quiet=arguments.json) as store:
        version = prices(store.settings).version
        found = doctor.examine(store.db, store.looked, store.current, store.folder, version)
        found["notes"] = store.notes
    if arguments.json:
        print_json(found)
    else:
        print(doctor.as_text(found))
        for note in store.notes:
            print(f"note         {note}")
    return 0


def _rules(arguments: Arguments) -> int:
    from . import rules

    return rules.dry_run(arguments.json) if arguments.dry_run else rules.rules(arguments.json)


def _actions(arguments: Arguments) -> int:
    from .rules import actions

    return actions(arguments.json, arguments.limit)


def _replay(arguments: Arguments) -> int:
    from .replay import replay

    return replay(arguments.at, arguments.since, arguments.until, as_json=arguments.json)


def _budget(arguments: Arguments) -> int:
    from . import budget

    if not arguments.words:
        return budget.budgets(arguments.json)
    verb, *words = arguments.words
    if verb != "set" or arguments.json:
        raise UsageError("use: tokentop budget [--json], or tokentop budget set day 200")
    return budget.change(words, os.environ)


def _plans(arguments: Arguments) -> int:
    from . import plans

    return plans.plans(arguments.json)


def _hook(arguments: Arguments) -> int:
    from . import hook

    if arguments.which == "telemetry" or arguments.what == "show":
        from .telemetry import show

        if (arguments.what, arguments.which) != ("show", "telemetry"):
            raise UsageError(
                "use: tokentop hook show telemetry, or hook install statusline; each agent is set by you"
            )
        return show(os.environ)
    if arguments.what == "run":
        raise UsageError("use: tokentop hook run statusline, without flags")
    change = hook.install if arguments.what == "install" else hook.remove
    return change(os.environ, yes=arguments.yes, dry_run=arguments.dry_run)


def _purge(arguments: Arguments) -> int:
    from . import keeping

    return keeping.purge(arguments)


def _import(arguments: Arguments) -> int:
    from . import keeping

    return keeping.take_in(arguments)


def _db(arguments: Arguments) -> int:
    from . import keeping

    return keeping.database(arguments)


_VERBS: dict[str, Callable[[Any], int]] = {
    "live": _live, "demo": _demo, "usage": _usage, "sync": _sync, "sessions": _sessions, "session": _session,
    "kill": _kill, "forecast": _forecast, "prices": _prices, "doctor": _doctor, "watch": _watch,
    "rules": _rules, "actions": _actions, "providers": _providers, "reconcile": _reconcile, "budget": _budget,
    "outcome": _outcome, "today": _day,
    "yesterday": _day, "hook": _hook, "replay": _replay, "plans": _plans, "purge": _purge, "import": _import,
    "db": _db,
}  # fmt: skip
