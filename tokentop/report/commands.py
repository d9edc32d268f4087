"""The verbs that print: each is one function of the parsed arguments."""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from tokentop.clock import now_ms
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.ledger import prices
from tokentop.text import plural

from . import access
from .out import Progress, health_document, iso, print_json

Arguments = argparse.Namespace
OUTLINE_S = 20.0  # of one `sync`: the rest comes with the next one, or while a tokentop runs


def run(command: str, arguments: Arguments) -> int:
    """Run one verb. Raises UsageError, Failure, NothingMatched, SettingsError."""
    try:
        return _VERBS[command](arguments)
    except sqlite3.Error as error:
        raise Failure(f"the database cannot be read: {error}") from error


def _usage(arguments: Arguments) -> int:
    from .usage_verb import run

    return run(arguments)


def _sync(arguments: Arguments) -> int:
    with access.opened(quiet=arguments.json) as store:
        outlined, left = _outline(store, quiet=arguments.json)
        health = health_document(store.db, store.current, store.notes)
        if arguments.json:
            print_json(
                {
                    "schema": "tokentop.sync/1",
                    "generated_at": iso(now_ms()),
                    "new_events": store.events,
                    "outlines": {"made": outlined, "left": left},
                    "health": health,
                }
            )
        else:
            print(
                f"{store.events:,} new events; {health['files']:,} files, {health['bytes']:,} bytes read in all,"
                f" {health['duplicates']:,} repeats dropped, {health['unparsed_lines']:,} lines unreadable"
            )
            if outlined or left:
                more = "; more are left: run it again" if left else ""
                print(f"tools and files of {plural(outlined, 'session')} read from their logs{more}")
            for note in store.notes:
                print(note)
    return 0


def _outline(store: access.Access, *, quiet: bool) -> tuple[int, bool]:
    """Read tools and files of sessions at rest, for some seconds at most; (how many, whether more are left)."""
    from tokentop.collector.outlined import Outlines

    if not store.writes:
        return 0, False  # the one that writes does it
    maker, progress, until_s = Outlines(), Progress(quiet), time.monotonic() + OUTLINE_S
    try:
        while more := maker.step(store.db, now_ms()):
            progress.tell(f"tools and files of {maker.made:,} sessions read")
            if time.monotonic() > until_s:
                break
    finally:
        progress.end()
    return maker.made, more


def _sessions(arguments: Arguments) -> int:
    from .session_verbs import listed

    return listed(arguments)


def _session(arguments: Arguments) -> int:
    from .session_verbs import told

    return told(arguments)


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

    return compare(
        arguments.since, arguments.key, arguments.json, by_model=arguments.by_model, by_key=arguments.by_key
    )


def _watch(_arguments: Arguments) -> int:
    from .live import watch

    return watch()


def _forecast(arguments: Arguments) -> int:
    from .forecast import backtest, forecast

    return backtest(arguments.json) if arguments.backtest else forecast(arguments.json)


def _prices(arguments: Arguments) -> int:
    from tokentop.settings.load import load

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

    if arguments.do == "cancel":
        if arguments.dry_run:
            raise UsageError("use: tokentop rules cancel, without --dry-run")
        return rules.cancel(arguments.json)
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
