"""All verbs and flags of the command line."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from functools import cache
from typing import NoReturn, TypeAlias

from . import __version__
from .errors import UsageError


class _Help(argparse.HelpFormatter):
    """As wide as the terminal. argparse makes one for each flag, and asks `shutil` each time."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    with contextlib.suppress(ValueError):
        return int(os.environ.get("COLUMNS", "")) or 80
    with contextlib.suppress(ValueError, OSError):
        if sys.__stdout__ is not None:
            return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80
    return 80


class _Parser(argparse.ArgumentParser):
    def _get_formatter(self) -> argparse.HelpFormatter:
        return _Help(self.prog)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see: {self.prog} --help")


_Verbs: TypeAlias = "argparse._SubParsersAction[_Parser]"


def parser() -> argparse.ArgumentParser:
    """All verbs and flags."""
    top = _Parser(
        prog="tokentop",
        description="A live top for AI coding agents: who is running, tokens per minute, burn rate, the bill of the day.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"tokentop {__version__}")
    top.add_argument("--once", action="store_true", help="print one snapshot as text and exit")
    top.add_argument("--json", action="store_true", help="print one snapshot as JSON and exit")
    _screen_flags(top)
    verbs = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    _usage(verbs)
    _sessions(verbs)
    _kill(verbs)
    _keeping(verbs)
    _money(verbs)
    _machine(verbs)
    _providers(verbs)
    _screens(verbs)
    return top


def _usage(verbs: _Verbs) -> None:
    """What was used."""
    usage = verbs.add_parser("usage", help="totals from the store, after catching up", allow_abbrev=False)
    usage.add_argument(
        "--by", action="append", metavar="D",
        help="day, hour, agent, model, project, session or provider; may be given several times (default: agent)",
    )  # fmt: skip
    usage.add_argument("--since", metavar="T", help="2026-11-21, 2026-11-21T14:30, today, 24h, 7d")
    usage.add_argument("--until", metavar="T", help="likewise; a day means to its end")
    usage.add_argument("--agent", metavar="A")
    usage.add_argument("--project", metavar="P")
    usage.add_argument("--model", metavar="M")
    also = usage.add_mutually_exclusive_group()
    also.add_argument(
        "--compare", action="store_true", help="beside the time before, equally long (default: 7 days)"
    )
    also.add_argument(
        "--cache", action="store_true", help="what the cache saved, what was paid above the base price"
    )
    formats = usage.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true")
    formats.add_argument("--csv", action="store_true")
    formats.add_argument("--md", action="store_true", help="a table in Markdown")
    formats.add_argument("--chart", action="store_true", help="cost as bars")
    formats.add_argument("--heatmap", action="store_true", help="a year by days")

    for name in ("today", "yesterday"):
        day = verbs.add_parser(
            name, help=f"{name} on one screen: spend, who, what went wrong", allow_abbrev=False
        )
        day.add_argument("--json", action="store_true")

    sync = verbs.add_parser("sync", help="catch up and say what was read", allow_abbrev=False)
    sync.add_argument("--json", action="store_true")


def _sessions(verbs: _Verbs) -> None:
    """Which sessions there were, and what became of them."""
    sessions = verbs.add_parser("sessions", help="list and search sessions", allow_abbrev=False)
    sessions.add_argument(
        "query", nargs="*", metavar="QUERY",
        help="words, slips forgiven, and filters: agent:claude proj:api cost>5 since:2d file:retry !word ~regex",
    )  # fmt: skip
    sessions.add_argument(
        "--sort",
        choices=("last", "cost", "tokens", "responses"),
        help="default: the likest first, else the last",
    )
    sessions.add_argument(
        "--said", action="store_true",
        help="look for the words in prompts and replies, in the agents' own logs (search_prompts = true)",
    )  # fmt: skip
    sessions.add_argument("--limit", type=_positive, default=50, metavar="N")
    sessions.add_argument("--json", action="store_true")

    session = verbs.add_parser("session", help="one session with its timeline", allow_abbrev=False)
    session.add_argument("id", metavar="ID", help="session id or its unique prefix")
    forms = session.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true")
    forms.add_argument("--md", action="store_true", help="as Markdown")
    forms.add_argument("--html", metavar="FILE", help="as one HTML file with charts")
    forms.add_argument("--transcript", action="store_true", help="what was said, from the agent's own log")

    outcome = verbs.add_parser(
        "outcome", help="what the tokens bought: commits, surviving lines, tests, waste", allow_abbrev=False
    )
    outcome.add_argument("--by", metavar="D", help="session, project (the default), agent, model or day")
    outcome.add_argument("--since", metavar="T", help="2026-11-21, today, 24h, 7d; without: the last 30 days")
    outcome.add_argument("--until", metavar="T", help="likewise; a day means to its end")
    outcome.add_argument(
        "--limit", type=_positive, default=50, metavar="N", help="so many sessions, the dearest"
    )
    outcome.add_argument("--json", action="store_true")


def _kill(verbs: _Verbs) -> None:
    kill = verbs.add_parser(
        "kill", help="stop an agent: session id, its unique prefix, or pid", allow_abbrev=False
    )
    kill.add_argument("targets", nargs="*", metavar="TARGET")
    kill.add_argument(
        "--orphans", action="store_true", help="end every process of an agent that has no living owner"
    )
    how = kill.add_mutually_exclusive_group()
    how.add_argument(
        "--interrupt", action="store_const", dest="action", const="interrupt", help="stop the turn only"
    )
    how.add_argument("--freeze", action="store_const", dest="action", const="freeze", help="SIGSTOP")
    how.add_argument("--thaw", action="store_const", dest="action", const="thaw", help="SIGCONT")
    how.add_argument("--term", action="store_const", dest="action", const="terminate", help="the default")
    how.add_argument("--kill", action="store_const", dest="action", const="kill", help="SIGKILL at once")
    kill.add_argument("--dry-run", action="store_true", help="say what would be hit, signal nothing")
    kill.add_argument("--yes", action="store_true", help="do not ask")
    kill.add_argument(
        "--watch", action="store_true", help="stay 12 s and say whether a token was spent afterwards"
    )
    kill.add_argument("--json", action="store_true")
    kill.set_defaults(action="terminate")


def _keeping(verbs: _Verbs) -> None:
    purge = verbs.add_parser(
        "purge", help="take old single calls, or a whole session, out; sums stay", allow_abbrev=False
    )
    purge.add_argument(
        "--before", metavar="T", help="calls of sessions that rest since before: 2026-01-01, 90d"
    )
    purge.add_argument("--session", metavar="ID", help="all that is known of a session but its sums")
    purge.add_argument("--dry-run", action="store_true", help="say what would go")
    purge.add_argument("--yes", action="store_true", help="do not ask")
    purge.add_argument("--json", action="store_true")
    take_in = verbs.add_parser("import", help="bring in the database of another machine", allow_abbrev=False)
    take_in.add_argument(
        "file",
        metavar="FILE",
        help="what `tokentop db backup FILE` or `tokentop sessions --json` has written",
    )
    take_in.add_argument("--json", action="store_true")
    database = verbs.add_parser("db", help="check, back up or compact the database", allow_abbrev=False)
    database.add_argument(
        "what", metavar="check|backup|compact", choices=("check", "backup", "compact"), help="what to do"
    )
    database.add_argument("file", nargs="?", metavar="FILE", help="where the backup goes; must not exist")
    database.add_argument("--json", action="store_true")


def _money(verbs: _Verbs) -> None:
    """What is spent and what it will come to."""
    status = verbs.add_parser("status", help="one line for tmux or a prompt", allow_abbrev=False)
    status.add_argument(
        "--format", metavar="TEMPLATE",
        help="text with {agents} {working} {waiting} {rate} {burn} {today} {projected} {age} {state}",
    )  # fmt: skip
    status.add_argument("--json", action="store_true")
    forecast = verbs.add_parser("forecast", help="today's projected bill", allow_abbrev=False)
    forecast.add_argument("--backtest", action="store_true", help="how well past projections would have held")
    forecast.add_argument("--json", action="store_true")

    budget = verbs.add_parser("budget", help="where each budget stands; set one", allow_abbrev=False)
    budget.add_argument("--json", action="store_true")
    budget.add_argument(
        "words", nargs="*", metavar="set PERIOD [of project|agent NAME] DOLLARS",
        help="day, week or month; `none` takes a budget away",
    )  # fmt: skip
    plans = verbs.add_parser("plans", help="subscriptions, their leverage and windows", allow_abbrev=False)
    plans.add_argument("--json", action="store_true")


def _machine(verbs: _Verbs) -> None:
    """What tokentop has found, is set to and has done."""
    hook = verbs.add_parser(
        "hook",
        help="take plan limits from Claude Code's status line, and agents' telemetry",
        allow_abbrev=False,
    )
    hook.add_argument(
        "what",
        metavar="install|remove|run|show",
        choices=("install", "remove", "run", "show"),
        help="run = what Claude Code calls; show telemetry",
    )
    hook.add_argument("which", metavar="statusline|telemetry", choices=("statusline", "telemetry"))
    hook.add_argument("--dry-run", action="store_true", help="show the change of the settings, make none")
    hook.add_argument("--yes", action="store_true", help="do not ask")
    prices = verbs.add_parser("prices", help="the price of a model", allow_abbrev=False)
    prices.add_argument("model", nargs="?", metavar="MODEL")
    doctor = verbs.add_parser("doctor", help="what was found and what is wrong", allow_abbrev=False)
    doctor.add_argument("--json", action="store_true")
    verbs.add_parser(
        "watch", help="collect without a screen, print alerts, let rules act", allow_abbrev=False
    )
    rules = verbs.add_parser("rules", help="the rules for runaways and their state", allow_abbrev=False)
    rules.add_argument(
        "do", nargs="?", choices=("show", "cancel"), default="show", metavar="DO",
        help="show (the default), cancel: call off all that they count down now",
    )  # fmt: skip
    rules.add_argument("--dry-run", action="store_true", help="what they would have done in the last 7 days")
    rules.add_argument("--json", action="store_true")
    actions = verbs.add_parser("actions", help="what was done to processes, newest first", allow_abbrev=False)
    actions.add_argument("--limit", type=_positive, default=100, metavar="N")
    actions.add_argument("--json", action="store_true")


def _providers(verbs: _Verbs) -> None:
    """What providers say."""
    reconcile = verbs.add_parser(
        "reconcile", help="our figures beside the provider's, by UTC day", allow_abbrev=False
    )
    reconcile.add_argument("--since", metavar="DAY", help="a UTC day; without: the last 7")
    reconcile.add_argument(
        "--key", action="append", default=[], metavar="ID", help="only this key of the provider's"
    )
    reconcile.add_argument(
        "--by-model",
        action="store_true",
        help="also a line for each model, and what its difference is made of",
    )
    reconcile.add_argument("--by-key", action="store_true", help="also a line for each API key")
    reconcile.add_argument("--json", action="store_true")
    providers = verbs.add_parser(
        "providers",
        help="what providers say: bills, balances, limits; who is asked, and how it went",
        allow_abbrev=False,
    )
    providers.add_argument(
        "do", nargs="?", metavar="DO", default="show",
        help="show (the default), fetch: ask now, enable: switch on in the settings, key: store a key from standard input",
    )  # fmt: skip
    providers.add_argument("ids", nargs="*", metavar="ID", help="of providers; without: all")
    providers.add_argument("--json", action="store_true")


def _screens(verbs: _Verbs) -> None:
    """Screens beside the live one."""
    replay = verbs.add_parser(
        "replay", help="the live table as it was, who spent in a span", allow_abbrev=False
    )
    replay.add_argument("--at", metavar="T", help="03:12, yesterday 22:10, 2026-11-21T14:30, 90m (ago)")
    replay.add_argument(
        "--from", dest="since", metavar="T", help="rank the sessions by what they spent from here"
    )
    replay.add_argument("--until", metavar="T", help="... to here")
    replay.add_argument("--once", action="store_true", help="print instead of opening the screen")
    replay.add_argument("--json", action="store_true", help="print as JSON")
    _screen_flags(replay)
    demo = verbs.add_parser("demo", help="the screen on an invented fleet", allow_abbrev=False)
    demo.add_argument("--seed", type=int, default=7, metavar="N")
    demo.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    demo.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    _screen_flags(demo)


def _screen_flags(target: argparse.ArgumentParser) -> None:
    target.add_argument("--read-only", action="store_true", help="take all actions away")
    target.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    target.add_argument("--ascii", action="store_true", help="draw with ASCII characters only")
    target.add_argument("--theme", metavar="NAME", default="")
    target.add_argument(
        "--inline", nargs="?", type=_positive, const=5, default=0, metavar="N",
        help="a strip of N rows (default 5) below the prompt, without the alternate screen",
    )  # fmt: skip


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value
