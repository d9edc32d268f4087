"""`tokentop budget`: where each budget stands, and `budget set`, which writes the settings file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokentop.errors import Failure, UsageError
from tokentop.nouns.money import Budget
from tokentop.nouns.picture import Snapshot
from tokentop.places import config_path
from tokentop.settings.config import SettingsError
from tokentop.settings.edit import EditError, set_value
from tokentop.settings.load import load, parse
from tokentop.settings.spending import PERIODS
from tokentop.text import at_clock

from .files import replace_file
from .live import check_complete, one_snapshot
from .out import iso, money, plain_table, print_json, usd

_BAR_CELLS = 10
_HINT = "no budget is set; for example: tokentop budget set day 200"


def budgets(as_json: bool) -> int:
    """Print each budget with what is spent, its share, the projected end, and when it runs out."""
    if not as_json and not any(load(os.environ).all_budgets.items()):
        print(_HINT)
        return 0
    picture = one_snapshot()
    check_complete(picture)
    if as_json:
        print_json(document(picture))
    else:
        print(as_text(picture))
        if picture.today.unpriced_tokens:
            print(f"\n{picture.today.unpriced_tokens:,} tokens of today have no price and are not in it")
    return 0


def document(picture: Snapshot) -> dict[str, Any]:
    """`tokentop.budget/1`; amounts are exact decimal strings in US dollars, null = not known."""
    return {
        "schema": "tokentop.budget/1", "generated_at": iso(picture.at_ms),
        "budgets": [
            {"scope": b.scope, "name": b.name or None, "period": b.period, "starts_at": iso(b.start_ms),
             "ends_at": iso(b.end_ms), "budget_usd": usd(b.amount_nusd), "spent_usd": usd(b.spent_nusd),
             "used": round(b.used, 6), "projected_usd": None if b.projected_nusd is None else usd(b.projected_nusd),
             "exhausted_at": iso(b.exhausted_ms) if b.exhausted_ms else None, "state": state(b)}
            for b in picture.budgets
        ],
        "unpriced_tokens_today": picture.today.unpriced_tokens,
    }  # fmt: skip


def state(budget: Budget) -> str:
    """One word: over, runs out, holds; open = nothing is known of what is to come."""
    if budget.used >= 1:
        return "over"
    if budget.projected_nusd is None:
        return "open"
    return "runs out" if budget.exhausted_ms else "holds"


def as_text(picture: Snapshot) -> str:
    rows = []
    for b in picture.budgets:
        full = min(_BAR_CELLS, int(b.used * _BAR_CELLS))
        end = {"over": "exhausted", "open": "?", "holds": "holds"}.get(state(b))
        rows.append(
            [b.label, f"{'#' * full}{'.' * (_BAR_CELLS - full)}", money(b.spent_nusd), money(b.amount_nusd),
             f"{b.used:.0%}", "?" if b.projected_nusd is None else money(b.projected_nusd),
             end or f"exhausted {at_clock(b.exhausted_ms, picture.at_ms)}"]
        )  # fmt: skip
    return plain_table(["BUDGET", "", "SPENT", "OF", "USED", "PROJECTED", "END"], rows, left=2)


# ---------------------------------------------------------------- set


def change(words: list[str], environ: Mapping[str, str]) -> int:
    """`set day 200`, `set week of project api 80`, `set day of agent claude none`: one line of the settings file."""
    period, scope, name, amount = _meant(words)
    path = config_path(environ)
    text = _read(path)
    try:
        old = parse(text, str(path)) if text else None
        place: tuple[str, ...] = ("budgets", period)
        if scope != "all":
            plural = scope + "s"
            given = (getattr(old.budgets, plural) if old else {}).get(name)
            bare = period == "day" and (given is None or isinstance(given, float))
            if isinstance(given, float) and not bare:
                text = set_value(text, ("budgets", plural, name), None)
                text = set_value(text, ("budgets", plural, name, "day"), given)
            place = ("budgets", plural, name) if bare else ("budgets", plural, name, period)
        new = set_value(text, place, amount)
        parse(new, str(path))
    except EditError as error:
        raise Failure(f"{path}: {error}") from error
    if old is not None and old.day_budget_usd and place == ("budgets", "day"):
        print("day_budget_usd is set as well; the one in [budgets] wins")
    replace_file(path, new)
    print(f"{path}: {'.'.join(place)} = {'none' if amount is None else f'{amount:g}'}")
    return 0


def _meant(words: list[str]) -> tuple[str, str, str, float | None]:
    """(period, scope, name, amount in US dollars, None = no budget any more)."""
    usage = "tokentop budget set day|week|month [of project|agent NAME] DOLLARS|none"
    period, *rest = words or [""]
    if period not in PERIODS or len(rest) not in (1, 4):
        raise UsageError(f"use: {usage}")
    scope, name = "all", ""
    if len(rest) == 4:
        word, scope, name = rest[:3]
        if word != "of" or scope not in ("project", "agent") or not name:
            raise UsageError(f"use: {usage}")
    if rest[-1] == "none":
        return period, scope, name, None
    try:
        amount = float(rest[-1].removeprefix("$"))
    except ValueError:
        raise UsageError(f"{rest[-1]}: a sum in US dollars is wanted, or none") from None
    if not 0 < amount <= 1e9:
        raise UsageError(f"{rest[-1]}: a sum above 0 is wanted, or none")
    return period, scope, name, int(amount) if amount.is_integer() else amount


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text") from error
