"""Changing the settings file in place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop.settings.config import Settings, SettingsError
from tokentop.settings.file import Found, changed, look, save, value_of
from tokentop.settings.load import parse
from tokentop.settings.written import render_default
from tokentop.ui.settings import entries

MINE = """\
# my settings
ascii = true   # this terminal is old
  theme = 'nord'

[rules.burn_rate]   # the dear ones
on = true
usd_per_h = 30.0

[roots]
claude = ["~/.claude-work"]
"""


def test_only_the_lines_of_what_changed_change() -> None:
    new = changed(
        MINE, {("theme",): "okabe-ito-light", ("rules", "burn_rate", "usd_per_h"): 45.5, ("refresh_s",): 2.0}
    )
    assert new == MINE.replace("'nord'", '"okabe-ito-light"').replace("30.0", "45.5").replace(
        'okabe-ito-light"\n', 'okabe-ito-light"\nrefresh_s = 2.0\n'
    )


def test_comments_beside_a_value_stay() -> None:
    assert "ascii = false   # this terminal is old\n" in changed(MINE, {("ascii",): False})


def test_a_new_file_is_the_commented_one_with_the_change_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    save(path, {("theme",): "nord", ("rules", "loop", "times"): 7})
    text = path.read_text()
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        'theme = "nord"', "[rules.loop]", "times = 7",
    ]  # fmt: skip
    assert all(
        line in text for line in render_default().splitlines() if line.startswith("# ") and " = " not in line
    )
    found = look(path)
    assert found.settings.theme == "nord"
    assert {("theme",), ("rules", "loop", "times")} <= found.given
    assert ("ascii",) not in found.given


def test_every_setting_of_the_list_can_be_written_into_the_default_file_and_into_an_empty_one() -> None:
    for entry in entries():
        if not entry.kind:
            continue
        value = {"bool": not entry.default, "choice": "nord", "text": "x"}.get(entry.kind)
        if value is None:
            low = value_of(parse(f"{entry.label} = 3\n"), entry.name)  # three fits everywhere
            value = low
        for text in ("", render_default()):
            new = changed(text, {entry.name: value})
            assert value_of(parse(new), entry.name) == value


@pytest.mark.parametrize("text", ["rules = { loop = { on = true } }\n"])
def test_a_form_that_lines_cannot_change_is_refused_and_not_spoilt(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as refused:
        save(path, {("rules", "loop", "on"): False})
    assert "\n" not in str(refused.value)
    assert path.read_text() == text


def test_a_value_out_of_range_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MINE)
    with pytest.raises(SettingsError, match="refresh_s"):
        save(path, {("theme",): "nord", ("refresh_s",): 99.0})
    assert path.read_text() == MINE
    assert [file.name for file in tmp_path.iterdir()] == ["config.toml"]


def test_a_read_only_file_and_a_place_without_a_folder_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MINE)
    path.chmod(0o444)
    with pytest.raises(SettingsError, match=r"not saved: the file is read-only$"):
        save(path, {("ascii",): False})
    assert path.read_text() == MINE
    with pytest.raises(SettingsError, match="Not a directory"):
        save(path / "below" / "config.toml", {("ascii",): False})


def test_a_link_and_its_mode_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "config.toml"
    real.write_text(MINE)
    real.chmod(0o640)
    link.symlink_to(real)
    save(link, {("ascii",): False})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert not look(link).settings.ascii


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    assert look(tmp_path / "config.toml") == Found(Settings(), frozenset())


_LINES = st.sampled_from(
    [
        "# note",
        "",
        "ascii = true",
        "mouse = false # no",
        "[notify]",
        "bell = true",
        "[rules.loop]",
        "on = true",
        "times = 4",
    ]
)


@given(st.lists(_LINES, max_size=8), st.booleans(), st.integers(2, 9))
def test_whatever_the_file_either_the_change_holds_and_all_else_stays_or_it_is_refused(
    lines: list[str], flag: bool, number: int
) -> None:
    text = "\n".join(lines) + "\n"
    try:
        before = parse(text)
    except SettingsError:
        return
    changes = {("ascii",): flag, ("rules", "loop", "times"): number, ("notify", "bell"): flag}
    new = changed(text, changes)
    after = tomllib.loads(new)
    assert after["ascii"] is flag
    assert after["rules"]["loop"]["times"] == number
    assert after["notify"]["bell"] is flag
    assert parse(new).mouse == before.mouse
    assert parse(new).rules.loop.on == before.rules.loop.on
    assert new.count("# note") == text.count("# note")
