"""Regenerate tokentop/pricing/prices.json from the lists `litellm` and `genai-prices` (`make prices`).

The result is merged into the file that is there: a model never disappears, and a changed rate opens a
new row that is valid from today. Review the diff.

    make_prices.py [--today YYYY-MM-DD] [--wheels DIR] [--output FILE]

DIR: use the wheels that are already there. FILE: merge into and write another file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from price_lists import (  # noqa: E402
    ALWAYS,
    BUCKETS,
    Report,
    exact_names,
    from_genai,
    from_litellm,
    matches,
    read_wheels,
    wheels,
)

from tokentop.pricing import data, names  # noqa: E402

PRICES = ROOT / "tokentop" / "pricing" / "prices.json"
OVERRIDES = PRICES.with_name("overrides.json")
ROW = ("since", "seen", "source", "rates", "factors", "web_search", "off_peak")
DEFAULTS = {"since": ALWAYS, "source": "litellm"}  # as in data.Row


def merge_lists(
    litellm: dict[str, dict], genai: dict[str, list[dict]], today: str, report: Report
) -> tuple[dict, dict]:
    """Join the lists: litellm's present prices and tiers, genai-prices' history and further models."""
    models: dict[str, dict] = {}
    aliases: dict[str, str] = {}
    for name, row in litellm.items():
        host, _, bare = name.partition("/")
        peers = genai.get(host, [])
        peer = next((p for p in peers if p["id"] == bare), None) or next(
            (p for p in peers if matches(p["match"], bare)), None
        )
        models[name] = {"window": row.pop("window"), "rows": with_history(name, row, peer, today, report)}
    for host, peers in genai.items():
        for peer in peers:
            name = f"{host}/{peer['id']}"
            if name not in models:
                rows = [
                    {"since": s, "seen": today, "source": "genai-prices", "rates": r} for s, r in peer["rows"]
                ]
                models[name] = {"window": peer["window"], "rows": rows}
    for host, peers in genai.items():
        for peer in peers:
            for alias in sorted(exact_names(peer["match"])):
                target = f"{host}/{peer['id']}"
                found = next((f for f in names.forms(alias) if f"{host}/{f}" in models), None)
                if found is None or f"{host}/{found}" != target:
                    aliases[f"{host}/{alias}"] = target
    for name in sorted(models):
        short = "bedrock/" + names.forms(name.removeprefix("bedrock/"))[-1]
        if name.startswith("bedrock/anthropic.") and short not in models and re.search(r"\d", short):
            aliases.setdefault(short, name)
    return models, aliases


def with_history(name: str, row: dict, peer: dict | None, today: str, report: Report) -> list[dict]:
    """The rows of a model: genai-prices' past and announced prices around litellm's present one."""
    dated = peer["rows"] if peer else []
    valid = [(since, rates) for since, rates in dated if since <= today]
    if not valid:
        return [{"since": ALWAYS, "seen": today} | row]
    theirs = [{"since": s, "seen": today, "source": "genai-prices", "rates": r} for s, r in dated]
    past, future = theirs[: len(valid) - 1], theirs[len(valid) :]
    since, current = valid[-1]
    ours = row["rates"]
    pairs = zip(BUCKETS, ours[""], current[""], strict=False)
    unlike = [f"{bucket} {x} / {y}" for bucket, x, y in pairs if x != y and None not in (x, y)]
    if unlike and ours[""][0] in [old["rates"][""][0] for old in past]:
        report.note(
            "litellm is behind", f"{name}: genai-prices ended its price on {since}; genai-prices is used"
        )
        return theirs
    if unlike:
        report.note("lists disagree", f"{name}: litellm / genai-prices: {', '.join(unlike)}; litellm is used")
        return [{"since": ALWAYS, "seen": today} | row]
    if not any(key.startswith(">") for key in ours):
        for key in (k for k in current if k.startswith(">")):
            report.note("threshold only in genai-prices", f"{name} {key}: used")
            ours[key] = current[key]
    return [*past, {"since": since, "seen": today} | row, *future]


def fold(row: dict) -> dict:
    """Write a tier whose rates are one factor of the standard rates, at every threshold, as that factor."""
    rates = row["rates"]
    base = {key.partition(">")[2]: quote for key, quote in rates.items() if key[:1] in ("", ">")}
    for tier in sorted({key.partition(">")[0] for key in rates} - {""}):
        own = {key.partition(">")[2]: quote for key, quote in rates.items() if key.partition(">")[0] == tier}
        if own.keys() != base.keys():
            continue
        pairs = [(x, y) for key in base for x, y in zip(base[key], own[key], strict=False)]
        factors = {y * 1000 // x for x, y in pairs if x and y is not None}
        same = all(len(base[key]) == len(own[key]) for key in base) and len(factors) == 1
        if same and all(
            (x is None) == (y is None) and (x or 0) * max(factors) == (y or 0) * 1000 for x, y in pairs
        ):
            row["factors"] = row.get("factors", {}) | {tier: factors.pop()}
            row["rates"] = {k: v for k, v in row["rates"].items() if k.partition(">")[0] != tier}
    return row


def drop_repeats(models: dict[str, dict]) -> dict[str, dict]:
    """Leave out dated ids and revisions that cost the same as the id that the look-up falls back to."""
    kept = {}
    for name, entry in models.items():
        host, _, bare = name.partition("/")
        shorter = [f"{host}/{form}" for form in names.forms(bare)[1:]]
        first = next((models[s] for s in shorter if s in models), None)
        if first is None or first != entry:
            kept[name] = entry
    return kept


def kept_name(name: str, models: dict[str, dict]) -> str:
    """The entry that stands for `name` after `drop_repeats`."""
    host, _, bare = name.partition("/")
    return next((f"{host}/{form}" for form in names.forms(bare) if f"{host}/{form}" in models), name)


def apply_overrides(models: dict[str, dict], report: Report) -> None:
    for name, change in json.loads(OVERRIDES.read_text())["models"].items():
        if name not in models:
            report.note("override without a model", name)
            continue
        for row in models[name]["rows"]:
            row["factors"] = row.get("factors", {}) | change["factors"]


def merge_old(old: dict[str, dict], new: dict[str, dict], today: str, report: Report) -> dict[str, dict]:
    """Keep every row that was valid before today; a changed price begins today."""
    merged = dict(new)
    for name in old.keys() - new.keys():
        merged[name] = old[name]
        report.counts["kept, in no list any more"] += 1
    for name, entry in new.items():
        # a dated id that cost the same as the shorter one until now has that one's past
        known = old.get(name) or old.get(kept_name(name, old))
        before = (
            [row for row in known["rows"] if row["seen"] < today and row["since"] <= today] if known else []
        )
        if old and name not in old:
            report.note("added", name)
        if not before:
            continue
        current = [row for row in entry["rows"] if row["since"] <= today][-1]
        if priced(before[-1]) == priced(current):
            report.counts["unchanged"] += 1
        else:
            since = current["since"] if current["since"] > before[-1]["since"] else today
            before.append(current | {"since": since})
            report.note(
                "changed", f"{name} from {since}: {before[-2]['rates']['']} -> {current['rates']['']}"
            )
        told = {row["since"]: row for row in known["rows"]} if known else {}
        future = [row for row in entry["rows"] if row["since"] > today]
        future = [same_row(told.get(row["since"]), row) for row in future]
        merged[name] = {"window": entry["window"], "rows": before + future}
    return merged


def read_old(path: Path) -> tuple[dict[str, dict], dict[str, str]]:
    if not path.exists():
        return {}, {}
    old = json.loads(path.read_text())
    for entry in old["models"].values():
        entry["rows"] = [DEFAULTS | row for row in entry["rows"]]
    return old["models"], old["aliases"]


def same_row(old: dict | None, new: dict) -> dict:
    """The row that is there already, if it says the same: it keeps the day on which it was first seen."""
    return old if old and priced(old) == priced(new) else new


def priced(row: dict) -> dict:
    return {k: v for k, v in row.items() if k not in ("since", "seen", "source") and v not in ({}, None)}


def as_text(models: dict[str, dict], aliases: dict[str, str], sources: dict[str, str], today: str) -> str:
    """One line per model, in a stable order."""

    def line(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    def block(values: dict) -> str:
        return "{\n" + ",\n".join(f"{line(k)}:{line(values[k])}" for k in sorted(values)) + "\n}"

    tidy = {}
    for name, entry in models.items():
        rows = [
            {k: row[k] for k in ROW if row.get(k) not in ({}, None) and row[k] != DEFAULTS.get(k)}
            for row in entry["rows"]
        ]
        tidy[name] = ({"window": entry["window"]} if entry.get("window") else {}) | {"rows": rows}
    head = {"schema": data.SCHEMA, "generated": today, "sources": sources}
    head["unit"] = "micro-dollars per million tokens: " + ", ".join(BUCKETS)
    text = "{\n" + "".join(f"{line(k)}:{line(v)},\n" for k, v in head.items())
    text += f'"aliases":{block(aliases)},\n"models":{block(tidy)}\n}}\n'
    data.parse(text.encode())
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--today", default=date.today().isoformat())
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--output", type=Path, default=PRICES)
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        entries, providers, sources = read_wheels(wheels(options.wheels or Path(scratch)))
    lists = from_litellm(entries, report), from_genai(providers, options.today, report)
    models, aliases = merge_lists(*lists, options.today, report)
    apply_overrides(models, report)
    for entry in models.values():
        entry["rows"] = [fold(row) for row in entry["rows"]]
    old_models, old_aliases = read_old(options.output)
    models = merge_old(old_models, drop_repeats(models), options.today, report)
    aliases = old_aliases | {k: kept_name(v, models) for k, v in aliases.items()}
    aliases = {k: v for k, v in aliases.items() if k not in models and v in models}
    options.output.write_text(as_text(models, aliases, sources, options.today))
    for text in sorted(report.notes):
        print(text)
    print(f"{len(models)} models, {len(aliases)} aliases, {options.output.stat().st_size:,} bytes")
    print(", ".join(f"{kind} {count}" for kind, count in sorted(report.counts.items())))


if __name__ == "__main__":
    main()
