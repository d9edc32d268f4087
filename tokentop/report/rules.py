"""`tokentop rules`: the rules, their state, what they would have done, calling off. `tokentop actions`: the receipts."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any

from tokentop.clock import now_ms
from tokentop.engine.aftermath import in_words
from tokentop.engine.days import DAY_MS, day_bounds, local
from tokentop.engine.policy import HOUR_MS, REASON
from tokentop.engine.replay import NOT_REPLAYED, Past, Would, replay
from tokentop.engine.track import session_key
from tokentop.errors import Failure, NothingMatched
from tokentop.ledger import Lock
from tokentop.nouns.actions import Countdown, Receipt
from tokentop.places import state_dir
from tokentop.settings.rulebook import Rule, Rules, settings_of
from tokentop.settings.zone import local_zone
from tokentop.store import calloff, reader
from tokentop.text import clean

from . import access
from .out import iso, money, plain_table, print_json, usd
from .snapshot import receipt_document

DAYS = 7
_SHOWN = 200
_NOTHING = ("would", "cancelled")
_PATIENCE_S, _LOOK_S = 10.0, 0.05  # the tokentop that acts looks at each of its pictures


def rules(as_json: bool) -> int:
    """Each rule with its settings, and what it has done."""
    at_ms = now_ms()
    with access.opened(quiet=as_json) as store:
        receipts = reader.actions(store.db, limit=10_000)
        settings = store.settings
    found = [_rule_document(name, rule, receipts, at_ms) for name, rule in settings.rules.items()]
    if as_json:
        print_json({"schema": "tokentop.rules/1", "generated_at": iso(at_ms), "read_only": settings.read_only,
                    "rows": found})  # fmt: skip
        return 0
    heads = ["RULE", "STATE", "CONDITION", "LADDER", "REST", "PER HOUR", "DONE", "LAST"]
    print(plain_table(heads, [_line(row) for row in found], left=4))
    if settings.read_only:
        print("\nread_only is set: no rule acts, they only tell")
    if not any(rule.on for _, rule in settings.rules.items()):
        print("\nall are off; switch one on in the settings: [rules.burn_rate] on = true (docs/rules.md)")
    return 0


def _rule_document(name: str, rule: Rule, receipts: Sequence[Receipt], at_ms: int) -> dict[str, Any]:
    own = [receipt for receipt in receipts if receipt.reason == REASON + name]
    acted = [one for one in own if not one.result.startswith(_NOTHING)]
    return {
        "name": name,
        "on": rule.on,
        "dry_run": rule.dry_run,
        "condition": settings_of(rule),
        "ladder": list(rule.ladder),
        "cooldown_minutes": rule.cooldown_minutes,
        "per_hour": rule.per_hour,
        "countdown_s": rule.countdown_s,
        "allow": list(rule.allow),
        "only": list(rule.only),
        "acted": len(acted),
        "acted_last_hour": sum(0 <= at_ms - one.at_ms < HOUR_MS for one in acted),
        "last": receipt_document(own[0]) if own else None,
    }


def _line(row: dict[str, Any]) -> list[str]:
    state = "off" if not row["on"] else "dry run" if row["dry_run"] else "on"
    condition = " ".join(f"{name}={value:g}" for name, value in row["condition"].items())
    last = f"{row['last']['at'][:16]} {row['last']['result']}" if row["last"] else "-"
    return [
        row["name"], state, condition, " > ".join(row["ladder"]), f"{row['cooldown_minutes']:g} min",
        f"{row['acted_last_hour']}/{row['per_hour']}", str(row["acted"]), last,
    ]  # fmt: skip


# ---------------------------------------------------------------- dry run


def dry_run(as_json: bool) -> int:
    """What the rules would have done since midnight a week ago; off ones are marked."""
    zone, at_ms = local_zone(os.environ), now_ms()
    since_ms = day_bounds(at_ms - DAYS * DAY_MS, zone)[0]
    with access.opened(quiet=as_json) as store:
        settings = store.settings.rules
        listed = reader.sessions(store.db, since_ms=since_ms, limit=1_000_000)
        sessions = {session_key(s.agent, s.id): (s, own, project) for s, own, project, _, _ in listed}
        past = Past(sessions, reader.recent_events(store.db, since_ms))
    found = replay(settings, past, zone)
    if as_json:
        print_json(_document(found, settings, since_ms, at_ms, len(past.events)))
    else:
        print(_text(found, zone, since_ms, len(past.events)))
    return 0


def _document(
    found: Sequence[Would], settings: Rules, since_ms: int, at_ms: int, events: int
) -> dict[str, Any]:
    rows = [
        {"at": iso(one.at_ms), "rule": one.rule, "on": one.on, "step": one.step, "agent": one.agent,
         "session": one.session_id, "title": one.title or None, "project": one.project or None, "why": one.why,
         "note": one.note or None, "cost_after_usd": usd(one.later_nusd)}
        for one in found
    ]  # fmt: skip
    missing = [
        {"rule": name, "on": getattr(settings, name).on, "why": why} for name, why in NOT_REPLAYED.items()
    ]
    return {"schema": "tokentop.rules-dry-run/1", "generated_at": iso(at_ms), "since": iso(since_ms),
            "events": events, "rows": rows, "not_replayed": missing}  # fmt: skip


def _text(found: Sequence[Would], zone: tzinfo, since_ms: int, events: int) -> str:
    since = local(since_ms, zone).strftime("%Y-%m-%d")
    lines = [
        f"{events:,} events since {since}; each rule as it is set, those that are off as if they were on",
        "",
    ]
    if found:
        heads = ["TIME", "RULE", "", "STEP", "AGENT", "SESSION", "PROJECT", "WHY", "COST AFTER"]
        table = [
            [local(one.at_ms, zone).strftime("%m-%d %H:%M"), one.rule, "" if one.on else "(off)", one.step, one.agent,
             clean(one.title, 32) or one.session_id[:8], clean(one.project, 16),
             one.why + (f" ({one.note})" if one.note else ""), money(one.later_nusd)]
            for one in found[-_SHOWN:]
        ]  # fmt: skip
        if len(found) > _SHOWN:
            lines.append(f"the last {_SHOWN} of {len(found):,} steps; --json has all of them")
        lines.append(plain_table(heads, table, left=8))
    else:
        lines.append("no rule would have done anything")
    lines += ["", "cannot be replayed:"]
    width = max(map(len, NOT_REPLAYED))
    lines += [f"  {name:<{width}}  {why}" for name, why in NOT_REPLAYED.items()]
    lines += [
        "",
        "A nested agent is counted on its own here; live it is judged with the agent that started it.",
    ]
    return "\n".join(lines)


# ---------------------------------------------------------------- calling off


def cancel(as_json: bool) -> int:
    """Have the tokentop that acts call off all that its rules count down. NothingMatched where nothing is."""
    found = _called_off(state_dir(os.environ))
    if as_json:
        rows = [{"rule": one.rule, "step": one.action, "agent": one.agent, "session": one.session_id,
                 "title": one.title or None, "pid": one.pid or None} for one in found]  # fmt: skip
        print_json({"schema": "tokentop.rules-cancel/1", "generated_at": iso(now_ms()), "rows": rows})
        return 0
    for one in found:
        who = f"{one.agent} {clean(one.title, 40) or one.session_id[:8]}"
        print(f"called off: {one.rule}: {one.action} {who} (pid {one.pid})")
    return 0


def _called_off(folder: Path) -> tuple[Countdown, ...]:
    lock = Lock(folder)
    if not folder.is_dir() or lock.take():
        lock.release()
        raise NothingMatched("nothing was called off: no tokentop is running")
    question, end_s = calloff.Question(folder), time.monotonic() + _PATIENCE_S
    try:
        while (found := question.answer()) is None:
            if time.monotonic() > end_s and question.withdraw():
                raise Failure(
                    f"nothing was called off: the running tokentop has not answered in {_PATIENCE_S:g} s"
                )
            if time.monotonic() > end_s + _PATIENCE_S:
                raise Failure("it is not known what was called off; see tokentop actions")
            time.sleep(_LOOK_S)
    finally:
        question.withdraw()
    if not found:
        raise NothingMatched("no rule counts anything down now")
    return found


# ---------------------------------------------------------------- actions


def actions(as_json: bool, limit: int) -> int:
    """The receipts, newest first."""
    zone = local_zone(os.environ)
    with access.opened(quiet=as_json) as store:
        receipts = reader.actions(store.db, limit=limit)
    if as_json:
        print_json({"schema": "tokentop.actions/1", "generated_at": iso(now_ms()),
                    "rows": [action_document(receipt) for receipt in receipts]})  # fmt: skip
    elif receipts:
        heads = ["TIME", "ACTION", "BY", "AGENT", "SESSION", "PID", "RESULT", "SPENT", "DETAIL"]
        print(plain_table(heads, [_receipt_line(receipt, zone) for receipt in receipts], left=5))
    else:
        print("nothing was done to any process yet")
    return 0


def action_document(receipt: Receipt) -> dict[str, Any]:
    """One receipt, with who wanted it and what it cost until then."""
    return receipt_document(receipt) | {
        "reason": receipt.reason,
        "title": receipt.title or None,
        "project": receipt.project or None,
        "cwd": receipt.cwd or None,
        "cost_usd": None if receipt.cost_nusd is None else usd(receipt.cost_nusd),
        "burn_usd_per_h": None if receipt.burn_nusd_per_h is None else usd(receipt.burn_nusd_per_h),
    }


def _receipt_line(receipt: Receipt, zone: tzinfo) -> list[str]:
    when = local(receipt.at_ms, zone).strftime("%Y-%m-%d %H:%M:%S")
    cost = "?" if receipt.cost_nusd is None else money(receipt.cost_nusd)
    ended = f"{len(receipt.ended_pids)} ended" if len(receipt.ended_pids) > 1 else ""
    alive = f"still alive: {', '.join(map(str, receipt.survivors))}" if receipt.survivors else ""
    resume = f"resume: {receipt.resume}" if receipt.resume and receipt.ended_pids else ""
    after = in_words(receipt.after, money)
    detail = "; ".join(filter(None, (clean(receipt.detail, 100), ended, alive, after, resume)))
    return [
        when, receipt.action, receipt.reason, receipt.agent or "process", receipt.session_id[:8] or "-",
        str(receipt.pid or "-"), receipt.result, cost, detail,
    ]  # fmt: skip
