"""Settings changed in place: one line moves, comments and order stay, and the result is what was meant."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop.settings.config import Settings
from tokentop.settings.edit import EditError, set_value, to_toml
from tokentop.settings.load import parse
from tokentop.settings.written import render_default

FILE = """\
# mine
refresh_s = 2  # slow machine
theme = "a # b"   # not a comment inside

[budgets]  # dollars
# day = 200
week = 800

[rules.session_cost]
ladder = [
  "notify",  # first
  "stop",
]
on = true
"""


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        (("refresh_s",), 0.5, "refresh_s = 2  # slow machine", "refresh_s = 0.5  # slow machine"),
        (("theme",), "x", 'theme = "a # b"   # not a comment inside', 'theme = "x"   # not a comment inside'),
        (("budgets", "week"), 900, "week = 800", "week = 900"),
        (("budgets", "day"), 250.5, "# day = 200\n", "# day = 200\nday = 250.5\n"),
        (("budgets", "month"), 3000, "week = 800\n", "week = 800\nmonth = 3000\n"),
        (("mouse",), False, "a comment inside\n", "a comment inside\nmouse = false\n"),
        (("rules", "session_cost", "on"), False, "on = true", "on = false"),
        (
            ("rules", "session_cost", "ladder"), ["freeze"],
            'ladder = [\n  "notify",  # first\n  "stop",\n]', 'ladder = ["freeze"]',
        ),
        (("budgets", "week"), None, "week = 800\n", ""),
    ],
)  # fmt: skip
def test_one_line_is_changed_and_the_rest_stays(
    path: tuple[str, ...], value: object, before: str, after: str
) -> None:
    assert before in FILE
    assert set_value(FILE, path, value) == FILE.replace(before, after)


def test_a_new_table_comes_at_the_end() -> None:
    assert set_value(FILE, ("budgets", "projects", "my api"), 50) == (
        FILE + '\n[budgets.projects]\n"my api" = 50\n'
    )
    assert set_value("", ("budgets", "day"), 200) == "[budgets]\nday = 200\n"


def test_the_same_value_changes_nothing_and_what_is_not_there_is_not_taken_out() -> None:
    assert set_value(FILE, ("budgets", "week"), 800) == FILE
    assert set_value(FILE, ("budgets", "day"), None) == FILE
    assert set_value(FILE, ("notify", "bell"), None) == FILE


def test_line_ends_of_another_system_stay() -> None:
    assert set_value("theme = 'a'\r\n", ("ascii",), True) == "theme = 'a'\r\nascii = true\r\n"


def test_what_cannot_be_changed_by_line_is_said_and_nothing_is_lost() -> None:
    for text in ("budgets = { day = 3 }\n", "budgets.week = 3\nbudgets = 3\n", "[budgets\n"):
        with pytest.raises(EditError):
            set_value(text, ("budgets", "day"), 4)


def test_dotted_keys_and_quoted_ones_are_found() -> None:
    assert set_value("budgets.day = 3 # x\n", ("budgets", "day"), 4) == "budgets.day = 4 # x\n"
    text = "[budgets.projects]\n'my api' = 3\n"
    assert set_value(text, ("budgets", "projects", "my api"), 4) == "[budgets.projects]\n'my api' = 4\n"


def test_a_commented_out_file_takes_settings_and_stays_a_file_of_settings() -> None:
    text = render_default()
    for path, value in ((("mouse",), False), (("budgets", "day"), 200), (("rules", "idle", "on"), True)):
        text = set_value(text, path, value)
    found = parse(text)
    assert (found.mouse, found.budgets.day, found.rules.idle.on) == (False, 200, True)
    assert text.replace("\n# mouse = true\nmouse = false", "\n# mouse = true").startswith(
        render_default()[:400]
    )
    for path in (("mouse",), ("budgets", "day"), ("rules", "idle", "on")):
        text = set_value(text, path, None)
    assert parse(text) == Settings()


_NAME = st.one_of(st.sampled_from(["a", "b", "day", "x-y"]), st.text(min_size=1, max_size=4))
_VALUE = st.one_of(
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-1e6, 1e6),
    st.text(max_size=8),
    st.lists(st.integers(), max_size=3),
)


@given(st.lists(st.tuples(st.lists(_NAME, min_size=1, max_size=3), _VALUE), max_size=6))
def test_any_row_of_changes_gives_what_was_set_or_an_error(changes: list[tuple[list[str], object]]) -> None:
    text = FILE
    for names, value in changes:
        before = tomllib.loads(text)
        try:
            text = set_value(text, tuple(names), value)
        except EditError:
            assert tomllib.loads(text) == before
            continue
        found = tomllib.loads(text)
        for name in names:
            found = found[name]
        assert found == value
    assert "# mine" in text


@given(st.text(max_size=30))
def test_any_text_can_be_a_value(value: str) -> None:
    assert tomllib.loads(f"x = {to_toml(value)}") == {"x": value}
