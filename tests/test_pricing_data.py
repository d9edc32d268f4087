"""The bundled price table, and the generator that keeps it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import msgspec
import pytest

from tokentop.nouns.usage import Tokens
from tokentop.pricing import PriceTable
from tokentop.pricing.data import decode_model, load_bundled, parse
from tokentop.pricing.names import normal

ROOT = Path(__file__).parent.parent
TABLE = load_bundled()
MODELS = {name: decode_model(raw) for name, raw in TABLE.models.items()}


def test_every_row_is_dated_and_in_order() -> None:
    for name, model in MODELS.items():
        days = [date.fromisoformat(row.since) for row in model.rows]
        assert days == sorted(set(days)), name
        assert days[0] == date(1970, 1, 1), name
        assert all(
            date.fromisoformat(row.seen) <= date.fromisoformat(TABLE.generated) for row in model.rows
        ), name


def test_every_row_has_standard_rates_above_zero() -> None:
    for name, model in MODELS.items():
        for row in model.rows:
            standard = row.rates[""]
            assert standard[0] is not None, name
            assert standard[4] is not None, name
            assert standard[0] + standard[4] > 0, name
            assert all(factor > 0 for factor in row.factors.values()), name


def test_longer_prompts_are_never_cheaper() -> None:
    for name, model in MODELS.items():
        for row in model.rows:
            for key, quote in row.rates.items():
                tier, above, _ = key.partition(">")
                if above:
                    assert quote[0] >= row.rates[tier][0], (name, key)


def test_keys_are_normal_and_aliases_lead_to_models() -> None:
    assert all(normal(name) == name for name in (*MODELS, *TABLE.aliases))
    assert set(TABLE.aliases.values()) <= set(MODELS)
    assert not set(TABLE.aliases) & set(MODELS)


def test_version_names_date_and_sources() -> None:
    assert PriceTable.load().version == TABLE.version
    assert TABLE.generated in TABLE.version
    assert "litellm" in TABLE.version
    assert "genai-prices" in TABLE.version


def test_text_of_the_table_has_one_model_a_line_in_order() -> None:
    lines = (ROOT / "tokentop/pricing/prices.json").read_text().splitlines()
    named = [
        json.loads("{" + line.rstrip(",") + "}") for line in lines if line.startswith('"') and "rows" in line
    ]
    assert [name for entry in named for name in entry] == sorted(MODELS)


@pytest.mark.parametrize(
    "row",
    [
        {"seen": "2026-01-01", "rates": {"": [-1, 0, 0, 0, 0]}},
        {"seen": "2026-01-01", "rates": {"": [1.5, 0, 0, 0, 0]}},
        {"seen": "2026-01-01", "rates": {"": [1]}},
        {"seen": "yesterday", "rates": {"": [1, 0, 0, 0, 0]}},
        {"rates": {"": [1, 0, 0, 0, 0]}},
        {"seen": "2026-01-01", "rates": {"": [1, 0, 0, 0, 0]}, "extra": 1},
    ],
)
def test_damaged_row_is_refused(row: dict[str, object]) -> None:
    """N9."""
    with pytest.raises(msgspec.ValidationError):
        decode_model(msgspec.Raw(json.dumps({"rows": [row]}).encode()))


def test_table_of_another_schema_is_refused() -> None:
    raw = msgspec.json.encode(TABLE).replace(b'"schema":1', b'"schema":2', 1)
    with pytest.raises(ValueError, match="schema 2"):
        parse(raw)


def test_table_is_read_only_when_a_price_is_asked_for() -> None:
    """127: and from the package, without a network."""
    script = (
        "import sys, tokentop.pricing.data as data\n"
        "from tokentop.nouns.usage import Tokens\n"
        "from tokentop.pricing import PriceTable\n"
        "reads = []\n"
        "real, data.load_bundled = data.load_bundled, lambda: reads.append(1) or real()\n"
        "table = PriceTable.load()\n"
        "before = len(reads)\n"
        "for _ in range(2): table.price(provider='', model='gpt-5.6', at_ms=0, tokens=Tokens(1))\n"
        "print(before, len(reads), 'httpx' in sys.modules, 'socket' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert told.stdout.split() == ["0", "1", "False", "False"]


# ---------------------------------------------------------------- the generator


def litellm_entry(cost: float, **more: object) -> dict[str, object]:
    base = {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1000}
    return base | {"input_cost_per_token": cost, "output_cost_per_token": 4 * cost} | more


GENAI = """from decimal import Decimal
providers: list = [
    Provider(id='openai', models=[
        ModelInfo(id='gpt-7', context_window=1000,
            match=ClauseOr(or_=[ClauseEquals(equals='gpt-7'), ClauseEquals(equals='gpt-7-alias')]),
            prices=[
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal('5'), output_mtok=Decimal('20'))),
                ConditionalPrice(constraint=StartDateConstraint(start_date=datetime.date(2026, 2, 1)),
                    prices=ModelPrice(input_mtok=Decimal('1'), output_mtok=Decimal('4'))),
            ]),
        ModelInfo(id='gpt-7-extra', match=ClauseEquals(equals='gpt-7-extra'),
            prices=ModelPrice(input_mtok=Decimal('0.0625'), output_mtok=Decimal('3'))),
    ]),
]
"""


def generate(folder: Path, today: str, entries: dict[str, dict[str, object]]) -> str:
    """Run the generator on made-up wheels; the price file is kept in `folder` between runs."""
    with zipfile.ZipFile(folder / "litellm-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps(entries))
    with zipfile.ZipFile(folder / "genai_prices-2.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("genai_prices/data.py", GENAI)
    command = [
        sys.executable,
        str(ROOT / "scripts/make_prices.py"),
        "--today",
        today,
        "--wheels",
        str(folder),
    ]
    command += ["--output", str(folder / "prices.json")]
    env = os.environ | {"HOME": str(folder), "TOKENTOP_STATE_DIR": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


def generated(folder: Path) -> PriceTable:
    return PriceTable(document=parse((folder / "prices.json").read_bytes()))


def per_million(table: PriceTable, model: str, day: str, **given: str) -> tuple[int | None, bool]:
    at_ms = (date.fromisoformat(day) - date(1970, 1, 1)).days * 86_400_000
    price = table.price(provider="openai", model=model, at_ms=at_ms, tokens=Tokens(input=1_000_000), **given)
    return price.nusd, price.estimated


def test_generator_joins_the_present_price_with_the_dated_past(tmp_path: Path) -> None:
    entries = {
        "gpt-7": litellm_entry(
            1e-06, input_cost_per_token_priority=2e-06, output_cost_per_token_priority=8e-06
        )
    }
    generate(tmp_path, "2026-03-01", entries)
    table = generated(tmp_path)
    assert per_million(table, "gpt-7", "2026-01-31") == (5_000_000_000, False)
    assert per_million(table, "gpt-7", "2026-02-01") == (1_000_000_000, False)
    assert per_million(table, "gpt-7", "2026-02-01", tier="priority") == (2_000_000_000, False)
    assert per_million(table, "gpt-7-alias", "2026-02-01") == (1_000_000_000, False)
    assert per_million(table, "gpt-7-extra", "2026-02-01") == (62_500_000, False)


def test_generator_keeps_models_and_dates_changes(tmp_path: Path) -> None:
    """126: a changed rate begins on the day of the run; a model that left the lists stays."""
    generate(tmp_path, "2026-03-01", {"gpt-8": litellm_entry(3e-06), "gpt-9": litellm_entry(9e-06)})
    told = generate(tmp_path, "2026-04-01", {"gpt-8": litellm_entry(2e-06)})
    table = generated(tmp_path)
    assert per_million(table, "gpt-8", "2026-03-31") == (3_000_000_000, False)
    assert per_million(table, "gpt-8", "2026-04-01") == (2_000_000_000, False)
    assert per_million(table, "gpt-9", "2026-04-01") == (9_000_000_000, False)
    assert "changed: openai/gpt-8 from 2026-04-01" in told
    assert "kept, in no list any more 1" in told


def test_generator_changes_nothing_but_the_date_when_the_lists_are_the_same(tmp_path: Path) -> None:
    entries = {"gpt-8": litellm_entry(3e-06)}
    generate(tmp_path, "2026-03-01", entries)
    before = (tmp_path / "prices.json").read_text()
    generate(tmp_path, "2026-05-01", entries)
    after = (tmp_path / "prices.json").read_text()
    assert after == before.replace('"generated":"2026-03-01"', '"generated":"2026-05-01"')


def test_generator_reports_unknown_suffixes_and_disagreements(tmp_path: Path) -> None:
    entries = {
        "gpt-7": litellm_entry(1.5e-06),
        "gpt-8": litellm_entry(1e-06, input_cost_per_token_warp=5e-06, output_cost_per_token_warp=5e-06),
    }
    told = generate(tmp_path, "2026-03-01", entries)
    assert "unknown suffix: gpt-8: input_cost_per_token_warp" in told
    assert "lists disagree: openai/gpt-7" in told


def test_generator_takes_no_free_or_inexact_price_for_a_price(tmp_path: Path) -> None:
    told = generate(
        tmp_path, "2026-03-01", {"gpt-8": litellm_entry(0), "gpt-9": litellm_entry(1.0 / 7_000_000)}
    )
    table = generated(tmp_path)
    assert per_million(table, "gpt-8", "2026-03-01") == (None, False)
    assert per_million(table, "gpt-9", "2026-03-01") == (142_857_000, False)
    assert "rounded: gpt-9" in told
