"""`tokentop budget`: on a real store and a real settings file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tokentop.settings.load import parse

from .faults import PROJECT, Scratch, line, midday, stamp

MINE = '# mine\ntheme = ""  # plain\n\n[budgets]  # dollars\nweek = 800\n'


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.zone = midday()
    now = stamp(round(time.time() * 1000))
    # 100,000 output tokens at 15 dollars per million each: 4 dollars and a half in all.
    home.log((line(n, output=100_000, timestamp=now) for n in range(3)), "s-1.jsonl")
    return home


def test_budgets_are_set_in_place_and_shown(scratch: Scratch) -> None:
    """Only the project is of this home alone: a collector also reads the logs of agents that run on the machine."""
    scratch.config.write_text(MINE)
    done = scratch.run("budget", "set", "day", "500")
    assert (done.returncode, done.stderr) == (0, "")
    assert scratch.config.read_text() == MINE + "day = 500\n"
    assert scratch.run("budget", "set", "day", "of", "project", PROJECT, "5").returncode == 0
    assert scratch.run("budget", "set", "month", "of", "project", PROJECT, "4").returncode == 0
    assert scratch.run("budget", "set", "day", "of", "agent", "claude", "100").returncode == 0
    found = json.loads(scratch.run("budget", "--json").stdout)
    assert found["schema"] == "tokentop.budget/1"
    states = {(b["scope"], b["name"], b["period"]): b for b in found["budgets"]}
    day = states["project", PROJECT, "day"]
    assert (day["budget_usd"], day["spent_usd"], day["used"]) == ("5.000000000", "4.500342000", 0.900068)
    assert states["project", PROJECT, "month"]["state"] == "over"
    for other in (("all", None, "day"), ("all", None, "week"), ("agent", "claude", "day")):
        assert float(states[other]["spent_usd"]) >= 4.5
    text = scratch.run("budget").stdout
    assert f"month of project {PROJECT}" in text
    assert "exhausted" in text
    assert "90%" in text
    alerts = json.loads(scratch.run("--json").stdout)["alerts"]
    texts = [alert["text"] for alert in alerts if alert["kind"] == "budget"]
    assert any(
        text.startswith(f"90 % of the budget of the day of project {PROJECT}: $4.50 of $5") for text in texts
    )
    assert f"over the budget of the month of project {PROJECT}: $4.50 of $4.00" in texts


def test_a_named_budget_grows_from_a_day_to_periods_and_goes(scratch: Scratch) -> None:
    scratch.config.write_text("")
    for words in (("day", "50"), ("week", "80")):
        assert scratch.run("budget", "set", words[0], "of", "project", "my api", words[1]).returncode == 0
    found = parse(scratch.config.read_text()).budgets.projects["my api"]
    assert found == type(found)(day=50, week=80)
    assert scratch.run("budget", "set", "week", "of", "project", "my api", "none").returncode == 0
    assert list(parse(scratch.config.read_text()).budgets.items()) == [
        ("project", "my api", "day", 50 * 10**9)
    ]


def test_without_budgets_it_says_how_to_set_one(scratch: Scratch) -> None:
    assert "tokentop budget set day 200" in scratch.run("budget").stdout
    assert json.loads(scratch.run("budget", "--json").stdout)["budgets"] == []


def test_the_old_name_is_said_to_give_way(scratch: Scratch) -> None:
    scratch.config.write_text("day_budget_usd = 3\n")
    done = scratch.run("budget", "set", "day", "5")
    assert "the one in [budgets] wins" in done.stdout
    assert parse(scratch.config.read_text()).all_budgets.day == 5


@pytest.mark.parametrize(
    "words",
    [("set",), ("set", "year", "3"), ("set", "day"), ("set", "day", "much"), ("set", "day", "-3"), ("set", "day", "nan"),
     ("set", "day", "of", "session", "x", "3"), ("show",), ("set", "day", "3", "--json")],
)  # fmt: skip
def test_wrong_use_changes_nothing(scratch: Scratch, words: tuple[str, ...]) -> None:
    scratch.config.write_text(MINE)
    done = scratch.run("budget", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert scratch.config.read_text() == MINE


def test_a_form_that_cannot_be_changed_by_line_stays_as_it_is(scratch: Scratch) -> None:
    text = "budgets = { projects = { a = 3 } }\n"
    scratch.config.write_text(text)
    done = scratch.run("budget", "set", "day", "5")
    assert done.returncode == 1
    assert "edit it by hand" in done.stderr
    assert scratch.config.read_text() == text


def test_a_link_to_the_settings_stays_a_link(scratch: Scratch, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text(MINE)
    target.chmod(0o640)
    scratch.config.symlink_to(target)
    assert scratch.run("budget", "set", "day", "5").returncode == 0
    assert scratch.config.is_symlink()
    assert target.read_text() == MINE + "day = 5\n"
    assert target.stat().st_mode & 0o777 == 0o640
