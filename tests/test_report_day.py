"""`tokentop today`, `yesterday`, and the other forms of `tokentop usage`, on days whose truth is known."""

import json
import os
import pty
import sqlite3
import time
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tokentop.report import chart, usage_forms
from tokentop.report.usage import Line, cost_text
from tokentop.store.reader import Filter

from .faults import Scratch, midday, stamp
from .test_outcome_report import CALL_USD, Log

DAY_S = 86_400


@pytest.fixture
def scratch(tmp_path):
    """Calls: 4 today just after midnight, 8 yesterday, 6 a day on each of the ten days before; two projects."""
    scratch = Scratch(tmp_path)
    scratch.zone = midday()
    here = datetime.now(ZoneInfo(scratch.zone))
    midnight = int(here.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    for ago, count in [(0, 4), (1, 8), *((ago, 6) for ago in range(2, 12))]:
        for project, share in (("api", count - count // 4), ("web", count // 4)):
            log = Log(scratch, f"d{ago}-{project}", f"/work/{project}", midnight - ago * DAY_S - 29)
            for _ in range(share):
                log.call()
                log.at_s -= 29  # all within the first minutes of the day
    return scratch


def told(scratch, *words):
    done = scratch.run(*words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_yesterday_on_one_screen(scratch):
    found = told(scratch, "yesterday")
    here = datetime.now(ZoneInfo(scratch.zone))
    assert found["day"] == (here.date() - timedelta(days=1)).isoformat()
    assert (found["responses"], float(found["spent_usd"])) == (8, pytest.approx(8 * CALL_USD))
    assert found["projected"] is None
    assert float(found["usual"]["usd"]) == pytest.approx(6 * CALL_USD)
    assert [(one["project"], float(one["cost_usd"])) for one in found["projects"]] == [
        ("api", pytest.approx(6 * CALL_USD)), ("web", pytest.approx(2 * CALL_USD)),
    ]  # fmt: skip
    assert [one["session"] for one in found["sessions"]] == ["d1-api", "d1-web"]
    assert float(found["hours_usd"][0]) == pytest.approx(8 * CALL_USD)
    assert len(found["hours_usd"]) == 24
    with closing(sqlite3.connect(scratch.database)) as db, db:
        noon_ms = int(datetime.fromisoformat(found["since"]).timestamp() * 1000) + 12 * 3_600_000
        db.execute("INSERT INTO projection (at_ms, day, today_nusd, projected_nusd, low_nusd, high_nusd, method)"
                   " VALUES (?, ?, 0, 2000000, 1000000, 9000000000, 'profile')", (noon_ms, found["day"]))  # fmt: skip
    text = scratch.run("yesterday").stdout
    assert "at noon $0.0020 was projected: it came inside the 80 % interval" in text
    assert "in 8 responses" in text
    assert "1.3 x that" in text
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80


def test_today_says_what_is_projected_what_is_usual_by_now_and_what_was_done(scratch):
    found = told(scratch, "today")
    assert (found["responses"], found["problems"]) == (4, 0)
    assert float(found["projected"]["usd"]) >= float(found["spent_usd"])
    assert float(found["usual"]["usd"]) == pytest.approx(6 * CALL_USD)
    text = scratch.run("today").stdout
    assert "nothing went wrong, as far as is known" in text
    assert "projected" in text
    with closing(sqlite3.connect(scratch.database)) as db, db:
        at_ms = int(time.time() * 1000) - 1
        db.execute("INSERT INTO action (at_ms, action, reason, agent, sid, pid, result, receipt) VALUES (?, 'kill', 'manual',"
                   " 'claude', 'd0-api', 1, 'ended', '{}')", (at_ms,))  # fmt: skip
        db.execute("INSERT INTO quota_reading VALUES ('anthropic', '', 'five_hour', 300, ?, 100.0)", (at_ms,))
    found = told(scratch, "today")
    assert [(one["kind"], one["text"]) for one in found["events"]] == [("action", "kill: ended")]
    assert [one["limit"] for one in found["limits_hit"]] == ["five_hour"]
    assert "anthropic 5h limit full" in scratch.run("today").stdout


def test_errors_and_limits_that_outlines_tell_are_told_with_the_session_that_had_most(scratch):
    at_s = int(datetime.fromisoformat(told(scratch, "yesterday")["since"]).timestamp()) + 60
    for sid, words in (("d1-api", ("429", "529", "429")), ("d1-web", ("529",))):
        records = [
            {"type": "system", "subtype": "api_error", "error": {"status": int(status), "message": status},
             "sessionId": sid, "uuid": f"e{sid}{number}", "timestamp": stamp((at_s + number) * 1000)}
            for number, status in enumerate(words)
        ]  # fmt: skip
        scratch.log([json.dumps(record).encode() + b"\n" for record in records], f"{sid}.jsonl")
    assert scratch.run("sync").returncode == 0
    found = told(scratch, "yesterday")["errors"]
    assert [(one["session"], one["count"], one["by_kind"]) for one in found] == [
        ("d1-api", 3, {"429": 2, "529": 1}), ("d1-web", 1, {"529": 1}),
    ]  # fmt: skip
    assert scratch.run("yesterday").stdout.splitlines()[-1] == (
        "4 errors and limits, 3 of them in claude d1-api (429, 529)"
    )
    assert told(scratch, "today")["errors"] == []


def test_an_empty_history_is_said(tmp_path):
    scratch = Scratch(tmp_path)
    assert told(scratch, "today")["usual"] is None
    text = scratch.run("yesterday").stdout
    assert "no past days to compare with" in text
    assert "spent $0.00" in text


def test_seven_bits_where_that_is_set(scratch):
    scratch.config.write_text("ascii = true\n")
    for words in (("today",), ("usage", "--chart"), ("usage", "--heatmap")):
        text = scratch.run(*words).stdout
        assert text.isascii()
        assert "#" in text
        assert "?" not in text


def test_two_times_beside_each_other(scratch):
    found = told(
        scratch, "usage", "--compare", "--by", "project", "--since", "yesterday", "--until", "yesterday"
    )
    rows = {row["project"]: row for row in found["rows"]}
    assert float(rows["api"]["change_usd"]) == pytest.approx((6 - 5) * CALL_USD)
    assert (rows["web"]["before"]["responses"], rows["web"]["now"]["responses"]) == (1, 2)
    assert found["rows"][0]["project"] == "api" or float(rows["web"]["change_usd"]) == pytest.approx(CALL_USD)
    assert scratch.run("usage", "--compare", "--by", "day").returncode == 2
    assert scratch.run("usage", "--compare", "--csv").returncode == 2
    assert "CHANGE" in scratch.run("usage", "--compare").stdout


def test_charts_markdown_and_the_year(scratch):
    days = scratch.run("usage", "--chart", "--by", "day", "--since", "3d").stdout.splitlines()
    assert days[0] == "DAY"
    assert days[-1].startswith("total $")
    assert [line.split()[0] for line in days[1:-1]] == sorted(line.split()[0] for line in days[1:-1])
    table = scratch.run("usage", "--md", "--by", "project").stdout.splitlines()
    assert table[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert [row.split(" | ")[0] for row in table[2:]] == ["| api", "| web", "| **total**"]
    year = scratch.run("usage", "--heatmap").stdout
    assert "on 12 days" in year
    assert sum(year.count(shade) for shade in "░▒▓█") == 12 + 2  # and the scale: most days are alike
    assert scratch.run("usage", "--heatmap", "--json").returncode == 2


def test_a_spans_before_is_equally_long_through_a_change_of_the_clock():
    berlin = ZoneInfo("Europe/Berlin")

    def ms(*words):
        return int(datetime(*words, tzinfo=berlin).timestamp() * 1000)

    before, now = usage_forms.two_spans(Filter(ms(2026, 10, 24), ms(2026, 10, 26)), berlin, 0)
    assert (before.since_ms, before.until_ms) == (ms(2026, 10, 22), ms(2026, 10, 24))
    before, now = usage_forms.two_spans(Filter(), berlin, ms(2026, 10, 28, 9, 30))
    assert (now.since_ms, now.until_ms) == (ms(2026, 10, 22), ms(2026, 10, 28, 9, 30))
    assert (before.since_ms, before.until_ms) == (ms(2026, 10, 15), ms(2026, 10, 21, 9, 30))
    before, _ = usage_forms.two_spans(Filter(ms(2026, 5, 1, 12), ms(2026, 5, 1, 14)), berlin, 0)
    assert (before.since_ms, before.until_ms) == (ms(2026, 5, 1, 10), ms(2026, 5, 1, 12))


def test_levels_are_quarters_of_the_days_with_spend_and_months_stand_above_their_weeks():
    spent = list(range(1, 101))
    assert [chart.level(cost, spent) for cost in (0, 1, 26, 27, 51, 52, 76, 77, 100)] == [
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
    ]
    lines = chart.year({date(2026, 11, 22): 5}, date(2026, 11, 22))
    assert lines[0].split()[-1] == "Nov"
    assert lines[7].endswith("░")  # a Sunday, the last column
    assert {len(line) for line in lines[1:8]} == {57}
    assert chart.year({}, date(2026, 11, 22))[-1].strip() == "nothing was spent"


def test_a_bar_of_little_is_seen_and_hostile_names_stay_in_their_cell():
    assert chart.bar(0.001, 10).strip() == "▏"
    assert chart.bar(1, 4) == "████"
    assert chart.bar(0, 4) == "    "
    assert chart.bars([("x", 0, "≥")], "HEAD", 40)[1].split() == ["x", "?"]
    row = usage_forms.markdown([Line(("a|b<script>`*",), False)], ["project"]).splitlines()[2]
    assert row.startswith("| a&#124;b&#60;script&#62;&#96;&#42; |")


def test_what_the_cache_saved_and_what_was_paid_above_the_base_price(tmp_path):
    scratch = Scratch(tmp_path)
    log = Log(scratch, "s", "/work/api", int(time.time()) - 3600)
    for _ in range(3):
        log.call()
    log.call(model="no-such-model")
    found = told(scratch, "usage", "--cache", "--by", "model")
    rows = {row["model"]: row for row in found["rows"]}
    row = rows["claude-sonnet-4-5"]
    assert (row["prompt_tokens"], row["cache_read_tokens"], row["cache_write_tokens"]) == (369, 300, 60)
    assert float(row["saved_usd"]) == pytest.approx(300 * (3 - 0.3) / 1e6)
    assert float(row["writes_usd"]) == pytest.approx(60 * (3.75 - 3) / 1e6)
    assert float(row["above_base_usd"]) == 0
    assert rows["no-such-model"]["unpriced_tokens"] == 130
    log.call(reads=300_000)  # a long context costs twice as much a token
    found = told(scratch, "usage", "--cache")["totals"]
    assert float(found["above_base_usd"]) == pytest.approx(
        (300_000 * 0.3 + 3 * 3 + 20 * 3.75 + 7 * 7.5) / 1e6, rel=1e-3
    )
    text = scratch.run("usage", "--cache", "--by", "model").stdout
    assert "130 tokens without a price are only in PROMPT" in text
    assert scratch.run("usage", "--cache", "--by", "hour").returncode == 2
    assert scratch.run("usage", "--cache", "--compare").returncode == 2


def test_today_projects_what_the_screen_projects(scratch):
    """Not what some tokentop has stored minutes ago."""
    log = Log(scratch, "now", "/work/api", int(time.time()) - 40)
    for _ in range(20):
        log.call()
    found = told(scratch, "today")
    with closing(sqlite3.connect(scratch.database)) as db, db:
        db.execute("INSERT INTO projection (at_ms, day, today_nusd, projected_nusd, low_nusd, high_nusd, method)"
                   " VALUES (?, ?, 0, 9000000000000, 1, 9000000000001, 'burn')",
                   (int(time.time() * 1000) - 60_000, found["day"]))  # fmt: skip
    shown = told(scratch, "today")["projected"]["usd"]
    live = told(scratch, "--once")["forecast"]["projected_usd"]
    assert float(shown) == pytest.approx(float(live), rel=0.2)


def test_an_estimate_and_what_has_no_price_are_marked_wherever_money_stands():
    exact, guess = (
        Line(("a",), False, cost_nusd=10**9, priced=True),
        Line(("a",), True, cost_nusd=1, priced=True),
    )
    unpriced = Line(("b",), False, unpriced_tokens=7)
    assert usage_forms.chart([exact, guess, unpriced], ["agent"]).splitlines()[-1] == "total ≥≈$1.00"
    assert "≈" in usage_forms.chart([guess], ["agent"]).splitlines()[1]
    assert cost_text(guess).startswith("≈")
    text = usage_forms.comparison_text(
        [usage_forms.Pair(("b",), None, unpriced)], (Filter(0, DAY_S * 1000), Filter(DAY_S * 1000, 2 * DAY_S * 1000)),
        ["agent"], UTC,
    )  # fmt: skip
    assert text.splitlines()[1].split() == ["b", "unpriced", "?"]


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [(0, 0, "+$1.00"), (7, 0, "≤+$1.00"), (0, 7, "≥+$1.00"), (7, 7, "≈+$1.00")],
)
def test_a_change_of_money_is_a_bound_where_a_side_has_no_price_in_part(before, now, change):
    was = Line(("a",), False, cost_nusd=10**9, priced=True, unpriced_tokens=before)
    is_ = Line(("a",), False, cost_nusd=2 * 10**9, priced=True, unpriced_tokens=now)
    spans = Filter(0, DAY_S * 1000), Filter(DAY_S * 1000, 2 * DAY_S * 1000)
    text = usage_forms.comparison_text([usage_forms.Pair(("a",), was, is_)], spans, ["agent"], UTC)
    assert change in text.splitlines()[1].split()
    none = Line(("a",), False, unpriced_tokens=7)
    (row,) = usage_forms.comparison_document([usage_forms.Pair(("a",), none, is_)], spans, ["agent"], 1)[
        "rows"
    ]
    assert row["change_usd"] is None


def test_a_year_names_only_the_shades_that_it_has():
    day = date(2026, 11, 21)
    assert chart.year({day: 10**9}, day)[-1].split("  ")[-1] == "░ to $1.00"
    many = chart.year({day - timedelta(days=n): (n + 1) * 10**9 for n in range(8)}, day)[-1]
    assert [shade for shade in "░▒▓█" if shade in many] == list("░▒▓█")


def on_a_terminal(scratch, *words, **env):
    """What a report writes to a terminal of its own."""
    master, slave = pty.openpty()
    try:
        process = scratch.start(*words, env={"TERM": "xterm", **env}, stdout=slave)
        out, eof = b"", False
        os.close(slave)
        while not eof:
            try:
                part = os.read(master, 65_536)
            except OSError:
                part = b""
            out, eof = out + part, not part
        assert process.wait() == 0
        process.stderr.close()
        return out
    finally:
        os.close(master)


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"LANG": "C"}, {"TERM": "linux"}, {"LANG": "de_DE.ISO-8859-1"}]
)
def test_a_terminal_that_knows_only_seven_bits_gets_no_more_from_a_report(scratch, env):
    assert not on_a_terminal(scratch, "today", LANG="C.UTF-8").isascii()
    for words in (("today",), ("usage", "--heatmap"), ("forecast",), ("usage", "--chart")):
        out = on_a_terminal(scratch, *words, **env)
        assert out.isascii()
        assert b"?" not in out
    assert "█" in scratch.run("today", env=env).stdout, "a pipe gets the text as it is"


def test_the_setting_goes_for_every_report_on_a_terminal(scratch):
    log = Log(scratch, "wide", "/work/größe", int(time.time()) - 40)
    log.call()
    assert not on_a_terminal(scratch, "usage", "--by", "project", LANG="C.UTF-8").isascii()
    scratch.config.write_text("ascii = true\n")
    assert b"gr??e" in on_a_terminal(scratch, "usage", "--by", "project", LANG="C.UTF-8")
    rows = json.loads(on_a_terminal(scratch, "usage", "--by", "project", "--json", LANG="C.UTF-8"))["rows"]
    assert "größe" in {row["project"] for row in rows}
