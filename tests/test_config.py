"""Settings: defaults, one clear line for each mistake, nothing from the current directory."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tokentop.places import state_dir
from tokentop.settings.config import Settings, SettingsError
from tokentop.settings.load import load, parse
from tokentop.settings.written import render_default
from tokentop.settings.zone import local_zone, zone_fault


def test_without_a_file_everything_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "config.toml").write_text("refresh_s = 9\n")
    monkeypatch.chdir(tmp_path)
    assert load({}) == Settings()


def test_the_named_file_is_read_and_must_exist(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    with pytest.raises(
        SettingsError, match=r"own\.toml: no such file \(named by TOKENTOP_CONFIG\): make it, .*or unset"
    ):
        load({"TOKENTOP_CONFIG": str(file)})
    file.write_text(
        'refresh_s = 2\nday_budget_usd = 12.5\n[roots]\nclaude = ["~/w"]\n'
        '[prices]\n"a.b" = { input = 1, output = 2.5 }\n'
    )
    settings = load({"TOKENTOP_CONFIG": str(file)})
    assert settings.refresh_s == 2.0
    assert settings.all_budgets.day == 12.5
    assert settings.roots == {"claude": ["~/w"]}
    assert settings.prices["a.b"].output == 2.5
    assert settings.prices["a.b"].cache_read is None


MISTAKES = {
    "theme = ": "line 1: Invalid value",
    "mouse = true\nreffresh_s = 2": "line 2: unknown setting 'reffresh_s'; did you mean 'refresh_s'?",
    "\n\nrefresh_s = 99": "line 3: refresh_s: Expected `float` <= 10.0",
    "# mouse = 1\nmouse = 1": "line 2: mouse: Expected `bool`, got `int`",
    "refresh_s = nan": "line 1: refresh_s: not a number",
    "day_budget_usd = inf": "line 1: day_budget_usd: Expected `float` <= 1000000000.0",
    "[prices]\nok = { input = 1, output = 2 }\nm = { input = 1, outputt = 2 }": (
        "line 3: unknown setting 'prices.m.outputt'; did you mean 'output'?"
    ),
    '[prices]\nok = { input = 1, output = 2 }\nm = { input = 1, output = "x" }': (
        "line 3: prices.m.output: Expected `float`, got `str`"
    ),
    '[prices."a.b"]\ninput = 1\noutput = -3': "line 3: prices.a.b.output: Expected `float` >= 0.0",
    "[prices]\nm = { input = 1 }": "line 2: prices.m: Object missing required field `output`",
    '[roots]\nok = ["x"]\ncodex = "x"': "line 3: roots.codex: Expected `array`, got `str`",
    "mouse = true\nmouse = false": "line 2: Cannot overwrite a value",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_that_names_file_line_and_key(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load({"TOKENTOP_CONFIG": str(file)})
    message = str(caught.value)
    assert message.startswith(f"{file}, ")
    assert MISTAKES[text] in message
    assert "\n" not in message


def test_an_unknown_name_far_from_all_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="known are refresh_s, theme"):
        parse("zzzz = 1")


def test_hostile_names_reach_the_terminal_without_escapes() -> None:
    with pytest.raises(SettingsError) as caught:
        parse('"\\u001b[31mred" = 1')
    assert "\x1b" not in str(caught.value)


def test_bytes_that_are_no_text_are_said_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"mouse = true\ntheme = '\xff'\n")
    with pytest.raises(SettingsError, match="line 2: not UTF-8 text"):
        load({"TOKENTOP_CONFIG": str(file)})


def test_a_folder_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="directory"):
        load({"TOKENTOP_CONFIG": str(tmp_path)})


def test_the_generated_file_says_all_and_is_the_default_when_taken_as_it_is() -> None:
    text = render_default()
    assert parse(text) == Settings()
    for field in Settings.__struct_fields__:
        assert f"# {field} = " in text or f"# [{field}]" in text or f"# [[{field}]]" in text
    taken = "\n".join(
        line[2:] if re.match(r'# (\[|[a-z_]+ = |"my-model")', line) else line for line in text.splitlines()
    )
    settings = parse(taken)
    assert settings.roots
    assert settings.prices
    assert settings.refresh_s == Settings().refresh_s


def test_the_state_directory_can_be_named(tmp_path: Path) -> None:
    assert state_dir({"TOKENTOP_STATE_DIR": str(tmp_path)}) == tmp_path
    assert state_dir({}).name == "tokentop"


def test_the_zone_follows_daylight_saving() -> None:
    zone = local_zone({"TZ": "Europe/Berlin"})
    offsets = {datetime(2026, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)}
    assert offsets == {timedelta(hours=1), timedelta(hours=2)}
    assert datetime(2026, 1, 1, tzinfo=local_zone({"TZ": ":Asia/Kathmandu"})).utcoffset() == timedelta(
        hours=5, minutes=45
    )
    for odd in ("../../etc/passwd", "No/Where", "/no/such/file"):
        assert datetime(2026, 1, 1, tzinfo=local_zone({"TZ": odd})).utcoffset() == timedelta(0)
    assert datetime(2026, 1, 1, tzinfo=UTC).astimezone(local_zone({})).utcoffset() is not None


def test_a_zone_that_is_not_known_is_said_in_one_line() -> None:
    for known in ("", "UTC", "Europe/Berlin", ":Asia/Kathmandu", "<+0545>-5:45", "UTC0", "EST5"):
        assert zone_fault({"TZ": known}) == ""
    for odd in ("../../etc/passwd", "No/Where", "/no/such/file", "a\x1b[31m\nb"):
        said = zone_fault({"TZ": odd})
        assert said.endswith("is no time zone that is known here: days and times are in UTC")
        assert said.isprintable()
    assert "summer time is left out" in zone_fault({"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"})


def test_importing_the_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, tokentop.settings.load;"
        "print([m for m in ('platformdirs','textual','psutil','sqlite3','httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
