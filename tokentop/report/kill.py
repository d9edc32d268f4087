"""`tokentop kill TARGET...`: resolve, show the plan, ask, act, verify, keep the receipt."""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence

from tokentop.agents import all_processes
from tokentop.clock import now_ms
from tokentop.collector import Collector
from tokentop.engine.aftermath import in_words
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.nouns.actions import Action, KillPlan, Orphan, Receipt
from tokentop.nouns.picture import Row
from tokentop.settings.load import load
from tokentop.store import db
from tokentop.text import duration_long

from .access import folder_for
from .out import iso, money, print_json
from .snapshot import receipt_document

_SECOND_LOOK_S = 0.25
_GOOD = frozenset({"ended", "already gone", "frozen", "thawed", "interrupted", "requested"})


def kill(arguments: argparse.Namespace) -> int:
    """Act on every target; 0 if all did what was asked, 1 if one did not."""
    settings = load(os.environ)
    if settings.read_only and not arguments.dry_run:
        raise Failure("read_only is set in the settings: no actions")
    action = Action(arguments.action)
    if arguments.orphans and (arguments.targets or action is not Action.TERMINATE):
        raise UsageError("--orphans ends all orphans: give no TARGET and no other action with it")
    if not arguments.orphans and not arguments.targets:
        raise UsageError("give a TARGET (session id, its unique prefix, or pid) or --orphans")
    with folder_for() as (folder, _notes):
        collector = Collector(folder, os.environ, settings, lambda _: None, stays=False)
        try:
            collector.catch_up()
            orphans = _orphans(collector) if arguments.orphans else ()
            if orphans:
                plans = [orphan.plan for orphan in orphans]
            else:
                rows = collector.snapshot(now_ms()).rows
                plans = [collector.plan(_resolve(target, rows), action) for target in arguments.targets]
                plans = list({_identity(plan): plan for plan in plans}.values())
            told = {id(orphan.plan): orphan for orphan in orphans}
            if arguments.dry_run:
                return _show(plans, told, arguments.json)
            _confirm(plans, told, arguments)
            if orphans:  # what may have an owner is left alone, as was shown
                plans = [plan for plan in plans if not plan.refusal]
                if not plans:
                    raise Failure("nothing was ended: each orphan is left alone, --dry-run says why")
            receipts = [_act(plan, collector) for plan in plans]
            if arguments.watch:
                receipts = _watch(receipts, collector)
        finally:
            collector.close()
    if arguments.json:
        print_json(
            {"schema": "tokentop.kill/1", "results": [receipt_document(receipt) for receipt in receipts]}
        )
    else:
        for receipt in receipts:
            _print_receipt(receipt)
    return 0 if all(receipt.result in _GOOD for receipt in receipts) else 1


def _orphans(collector: Collector) -> tuple[Orphan, ...]:
    """Two looks: CPU use needs both, and what started between them is not an orphan by mistake."""
    time.sleep(_SECOND_LOOK_S)
    orphans = collector.plan_orphans()
    if not orphans:
        raise NothingMatched("no process without a living owner")
    return orphans


def _identity(plan: KillPlan) -> tuple[object, ...]:
    return (plan.target.pid, plan.target.start_ticks) if plan.target else (plan.agent, plan.session_id)


def _resolve(target: str, rows: Sequence[Row]) -> Row | int:
    """A row by session id or its unique prefix, or a pid."""
    if target.isascii() and target.isdigit() and len(target) < 10:
        pid = int(target)
        mine = [row for row in rows if row.pid == pid and row.kind in ("agent", "orphan")]
        return mine[0] if len(mine) == 1 else pid
    if len(target) < 4:
        raise UsageError(f"{target!r} is too short for a session id; give at least 4 characters or a pid")
    rows = [row for row in rows if row.kind != "tool"]  # a tool has the session of its agent
    exact = [row for row in rows if row.session_id == target]
    found = exact or [row for row in rows if row.session_id.startswith(target) and "/" not in row.session_id]
    found = [
        row for row in found if row.kind == "agent"
    ] or found  # not what an earlier process of it left behind
    if not found:
        raise NothingMatched(
            f"no running agent has a session that begins with {target!r}; see: tokentop --once"
        )
    if len(found) > 1:
        raise UsageError(f"{target!r} is not unique: {', '.join(row.session_id for row in found[:5])}")
    return found[0]


def _act(plan: KillPlan, collector: Collector) -> Receipt:
    from tokentop.procs.act import execute

    receipt = execute(plan, now_ms=now_ms, agents=all_processes())
    try:
        collector.keep(receipt)
    except (sqlite3.Error, db.StoreError) as error:
        print(f"tokentop: the receipt could not be stored: {error}", file=sys.stderr)
    return receipt


def _watch(receipts: Sequence[Receipt], collector: Collector) -> list[Receipt]:
    """The receipts with what was spent in the seconds after: the logs are read on until these are over."""
    while collector.actions.watching:
        time.sleep(collector.tick())
    told = {receipt.key: receipt for receipt in collector.snapshot(now_ms()).watched}
    return [told.get(receipt.key, receipt) for receipt in receipts]


def _confirm(plans: Sequence[KillPlan], told: Mapping[int, Orphan], arguments: argparse.Namespace) -> None:
    allowed = [plan for plan in plans if not plan.refusal]
    if arguments.yes or not allowed:
        return
    if arguments.json or not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("nobody can be asked here: give --yes to act or --dry-run to look")
    for plan in plans:
        print(plan_text(plan, told.get(id(plan))))
    question = (
        "Type yes to go on: "
        if len(plans) > 5 or any(p.warning for p in plans)
        else f"{plans[0].action}? [y/N] "
    )
    answer = input(question).strip().lower()
    if answer not in (("yes",) if question.startswith("Type") else ("y", "yes")):
        raise Failure("nothing was done")


def _show(plans: Sequence[KillPlan], told: Mapping[int, Orphan], as_json: bool) -> int:
    if as_json:
        print_json(
            {
                "schema": "tokentop.kill/1",
                "dry_run": True,
                "plans": [_plan_document(plan, told.get(id(plan))) for plan in plans],
            }
        )
    else:
        for plan in plans:
            print(plan_text(plan, told.get(id(plan))))
    if told:
        return 0
    return 1 if any(plan.refusal for plan in plans) else 0


def _plan_document(plan: KillPlan, orphan: Orphan | None) -> dict[str, object]:
    more: dict[str, object] = {}
    if orphan is not None:
        more = {
            "started_at": iso(orphan.started_ms), "cpu_pct": round(orphan.cpu_pct, 1),
            "rss_bytes": orphan.rss_bytes, "started_by": orphan.origin,
        }  # fmt: skip
    return more | {
        "action": plan.action,
        "agent": plan.agent,
        "session": plan.session_id or None,
        "pid": plan.target.pid if plan.target else None,
        "command": plan.command,
        "confidence": plan.confidence or None,
        "signals": [{"signal": name, "grace_s": grace} for name, grace in plan.rungs],
        "tree": [{"pid": p.ident.pid, "role": p.role, "command": p.command} for p in plan.tree],
        "turn_only": plan.turn_only,
        "stays": [{"pid": p.ident.pid, "role": p.role, "command": p.command} for p in plan.stays],
        "refusal": plan.refusal or None,
        "warning": plan.warning or None,
        "resume": plan.resume or None,
    }


def plan_text(plan: KillPlan, orphan: Orphan | None = None) -> str:
    """The plan in words, one fact a line; of an orphan also its age, what it uses and what started it."""
    pid = plan.target.pid if plan.target else "-"
    lines = [f"{plan.action} {plan.agent} pid {pid}  {plan.title or plan.session_id or plan.command}"]
    if orphan is not None:
        age = duration_long((now_ms() - orphan.started_ms) / 1000)
        lines.append(f"  command  {plan.command}")
        lines.append(f"  orphan   {age} old, {orphan.cpu_pct:.1f}% cpu, of {orphan.origin}")
    lines.append(f"  project  {plan.project or '?'}  {plan.cwd}")
    if plan.refusal:
        return "\n".join([*lines, f"  REFUSED  {plan.refusal}"])
    if plan.warning:
        lines.append(f"  careful  {plan.warning}")
    ladder = ", then ".join(f"{name} ({grace:g} s)" for name, grace in plan.rungs)
    if ladder:
        lines.append(f"  signals  {ladder}")
    for proc in plan.tree:
        nested = f"  [session {proc.nested_session_id}]" if proc.nested_session_id else ""
        late = "  (if it outlives the turn)" if plan.turn_only else ""
        lines.append(
            f"  ends     {'  ' * proc.depth}{proc.ident.pid} {proc.role} {proc.command}{nested}{late}"
        )
    lines += [f"  stays    {'  ' * p.depth}{p.ident.pid} {p.role} {p.command}" for p in plan.stays]
    if plan.cost_nusd is not None:
        lines.append(f"  spent    {money(plan.cost_nusd)}")
    if plan.resume:
        lines.append(f"  resume   {plan.resume}")
    return "\n".join(lines)


def _print_receipt(receipt: Receipt) -> None:
    detail = f": {receipt.detail}" if receipt.detail else ""
    what = f"pid {receipt.pid}" if receipt.pid else f"session {receipt.session_id}" * bool(receipt.session_id)
    whom = " ".join(part for part in (receipt.agent, what) if part)
    took = f" ({receipt.took_ms / 1000:.1f} s)" if receipt.rungs else ""
    print(f"{whom}{': ' * bool(whom)}{receipt.result}{detail}{took}")
    if receipt.ended_pids:
        print(f"  ended    {', '.join(map(str, receipt.ended_pids))}")
    if receipt.survivors:
        print(f"  ALIVE    {', '.join(map(str, receipt.survivors))}")
    if receipt.after is not None:
        print(f"  after    {in_words(receipt.after, money)}")
    if receipt.resume:
        print(f"  resume   {receipt.resume}")
