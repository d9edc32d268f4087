"""The one list of keys: bindings, footer, help and palette are made from it. Pure."""

from __future__ import annotations

from msgspec import Struct


class Key(Struct, frozen=True):
    """One action of the live screen."""

    id: str
    keys: str  # Textual's names, comma-separated
    action: str
    shown: str  # as people write the keys
    label: str  # for the footer, short
    help: str
    group: str
    footer: int = 0  # place in the footer from 1, 0 = not there
    acts: bool = False  # does something to a process: gone in read-only mode
    palette: bool = True


KEYS: tuple[Key, ...] = (
    Key("down", "j,down", "move(1)", "j ↓", "down", "next row", "move", palette=False),
    Key("up", "k,up", "move(-1)", "k ↑", "up", "previous row", "move", palette=False),
    Key("page_down", "pagedown", "page(1)", "PgDn", "page", "a page down", "move", palette=False),
    Key("page_up", "pageup", "page(-1)", "PgUp", "page", "a page up", "move", palette=False),
    Key("top", "g,home", "move(-1000000)", "g Home", "top", "first row", "move", palette=False),
    Key("bottom", "G,end", "move(1000000)", "G End", "bottom", "last row", "move", palette=False),
    Key("detail", "enter,l,right", "detail(True)", "↵ l →", "detail", "open the detail drawer", "look", 1),
    Key("back", "escape,left", "back", "Esc ←", "back", "close the drawer, clear the filter", "look",
        palette=False),
    Key("scroll", "tab", "scroll_detail(1)", "Tab", "scroll", "a page on in the drawer, from its end to its beginning",
        "look", 1, palette=False),
    Key("scroll_back", "shift+tab", "scroll_detail(-1)", "S-Tab", "scroll back", "a page back in the drawer", "look",
        palette=False),
    Key("log", "L", "log", "L", "log", "the end of the session's own log, as it grows", "look", 6),
    Key("session", "s", "session", "s", "session", "the whole session, turn by turn", "look", 2),
    Key("inside", "e", "inside", "e", "environment", "arguments, environment and ports of the process", "look", 7),
    Key("origins", "i", "origins", "i", "sources", "where each figure comes from, and how good it is", "look", 7),
    Key("filter", "slash", "filter", "/", "filter", "filter the rows while you type", "look", 2),
    Key("next", "n", "match(1)", "n", "next", "next row that matches the filter", "look", palette=False),
    Key("previous", "N", "match(-1)", "N", "previous", "previous row that matches", "look", palette=False),
    Key("interrupt", "x", "interrupt", "x", "stop", "stop the turn; while a rule counts down: call that off",
        "act", 3, acts=True),
    Key("freeze", "z", "freeze", "z", "freeze", "freeze the process; again: thaw", "act", 4, acts=True),
    Key("terminate", "K,f9", "terminate", "K F9", "kill", "dialog to terminate or kill",
        "act", 5, acts=True),
    Key("sweep", "X", "sweep", "X", "orphans", "dialog to end all processes without a living owner", "act", 6,
        acts=True),
    Key("tag", "space", "tag", "Space", "tag", "tag the row and go on: x, z and K act on tagged rows", "act", 6,
        acts=True),
    Key("tag_tree", "A", "tag_tree", "A", "tag tree", "tag the row and the agents below it", "act", acts=True),
    Key("untag", "U", "untag", "U", "untag", "take all tags away", "act", 5, acts=True),
    Key("jump", "o", "jump", "o", "jump", "show the agent's tmux pane, kitty or wezterm window", "look", 7),
    Key("resume", "y", "copy_resume", "y", "copy resume", "copy the resume command", "act",
        8),
    Key("copy_log", "Y", "copy_log", "Y", "copy log path", "copy the path of the session's log", "act"),
    Key("receipts", "R", "receipts", "R", "receipts", "what was done to processes", "act"),
    Key("replay", "B,ctrl+r", "replay", "B ctrl+r", "past", "the black box: the table as it was at any recorded moment",
        "look", 5),
    Key("follow", "F", "follow", "F", "follow", "keep the selected row in view", "look", 9),
    Key("tree", "t,f5", "tree", "t F5", "tree", "tree, or flat with own figures",
        "look", 10),
    Key("view_flat", "1", "view('flat')", "1", "live", "all agents in one order, with own figures", "look"),
    Key("view_tree", "2", "view('tree')", "2", "tree", "agents with what they started below them", "look"),
    Key("view_history", "3", "history", "3", "history", "all sessions there ever were: list, groups, search", "look", 11),
    Key("view_limits", "4", "limits", "4", "limits", "limits and bill: plans, budgets, the day's curve, providers, bills",
        "look"),
    Key("view_orphans", "5", "view('orphans')", "5", "orphans", "only processes without a living owner", "look"),
    Key("unfold", "plus", "fold(False)", "+", "unfold", "unfold the row; outside of the tree: repaint less often", "look",
        palette=False),
    Key("fold", "minus", "fold(True)", "-", "fold", "fold the row; outside of the tree: repaint more often", "look",
        palette=False),
    Key("fold_all", "asterisk", "fold_all", "*", "fold all", "fold or unfold everything", "look"),
    Key("window_longer", "right_square_bracket", "window(1)", "]", "window",
        "tok/min and $/h over a longer time: 5 min, 1 h, 24 h", "look"),
    Key("window_shorter", "left_square_bracket", "window(-1)", "[", "window", "over a shorter time", "look"),
    Key("group", "b", "group", "b", "group", "group by project, model, agent, or not", "look"),
    Key("columns", "w", "columns", "w", "columns", "choose and order the columns", "look"),
    Key("pause", "p", "pause", "p", "pause", "hold the picture, data goes on", "look", 11),
    Key("sort_rate", "T", "sort('rate')", "T", "sort tok/min", "sort by tokens per minute", "sort"),
    Key("sort_cost", "P", "sort('cost')", "P", "by cost", "sort by cost", "sort", 2),
    Key("sort_memory", "M", "sort('memory')", "M", "sort memory", "sort by resident memory", "sort"),
    Key("sort_context", "C", "sort('ctx')", "C", "sort context", "sort by context used", "sort"),
    Key("sort_next", "greater_than_sign,f6", "sort_step(1)", "> F6", "sort", "next sort column", "sort"),
    Key("sort_previous", "less_than_sign", "sort_step(-1)", "<", "sort", "previous sort column", "sort"),
    Key("reverse", "I,r", "reverse", "I r", "reverse", "turn the order round", "sort"),
    Key("health", "H", "health", "H", "problems", "what could not be read", "look"),
    Key("demo", "d", "demo", "d", "demo", "invented data, while nothing runs", "program", 12,
        palette=False),
    Key("palette", "ctrl+p,colon", "palette", "ctrl+p :", "commands", "commands, themes, sessions",
        "program", palette=False),
    Key("settings", "comma,f2", "settings", ", F2", "settings", "see, change and save the settings", "program"),
    Key("redraw", "ctrl+l", "app.redraw", "ctrl+l", "draw again", "draw the whole screen anew",
        "program"),
    Key("help", "question_mark,f1,h", "help", "? F1 h", "help", "keys, columns and states", "program", 13),
    Key("quit", "q,f10", "app.quit", "q F10", "quit", "leave; also ctrl+q, ctrl+c twice", "program",
        14),
)  # fmt: skip

# The screen of the past has these before the others.
REPLAY_KEYS: tuple[Key, ...] = (
    Key("play", "space,p", "play", "Space", "play", "play, or hold", "time", 1),
    Key("frame_back", "left", "step(-1)", "← →", "frame", "a frame back or on", "time", 2),
    Key("frame_on", "right", "step(1)", "→", "frame", "a frame on", "time"),
    Key("minute_back", "shift+left", "skip(-60)", "S-← S-→", "minute", "a minute back or on", "time", 3),
    Key("minute_on", "shift+right", "skip(60)", "S-→", "minute", "a minute on", "time"),
    Key("hour_back", "ctrl+left,left_curly_bracket", "skip(-3600)", "{ }", "hour", "an hour back or on; also ctrl+← ctrl+→",
        "time", 4),
    Key("hour_on", "ctrl+right,right_curly_bracket", "skip(3600)", "}", "hour", "an hour on", "time"),
    Key("mark_back", "left_square_bracket", "to_mark(-1)", "[ ]", "alert", "the alert or action before or after", "time", 5),
    Key("mark_on", "right_square_bracket", "to_mark(1)", "]", "alert", "the next alert or action", "time"),
    Key("faster", "plus", "speed(1)", "+ -", "speed", "faster or slower, 1x to 600x", "time", 6),
    Key("slower", "minus", "speed(-1)", "-", "speed", "slower", "time"),
    Key("begin", "g,home", "edge(False)", "g G", "begin, end", "begin or end of the recording", "time", 9),
    Key("end", "G,end", "edge(True)", "G", "end", "end of the recording", "time"),
    Key("select", "m", "mark", "m", "span", "begin of a span, then its end: who spent in it", "time", 7),
    Key("jumps", "J", "jumps", "J", "jumps", "where the day's bill jumped, and who made it", "time", 8),
    Key("leave", "escape", "leave", "Esc", "now", "close what is open; back to now", "time", 10),
    Key("close", "q,B,ctrl+r", "end", "q", "leave", "leave the past", "time"),
)  # fmt: skip


def _moves(group: str, top: str) -> tuple[Key, ...]:
    """The ways through a long list."""
    return (
        Key("down", "j,down", "move(1)", "j ↓", "down", "next line", group),
        Key("up", "k,up", "move(-1)", "k ↑", "up", "previous line", group),
        Key("page_down", "pagedown,space", "page(1)", "PgDn Space", "page", "a page down", group),
        Key("page_up", "pageup", "page(-1)", "PgUp", "page", "a page up", group),
        Key("top", "g,home", "move(-100000000)", "g Home", "top", top, group),
        Key("bottom", "G,end", "move(100000000)", "G End", "bottom", "last line", group),
    )


# Keys of the screen that shows one session.
SESSION_KEYS: tuple[Key, ...] = (
    *_moves("session", "first turn"),
    Key("unfold", "enter,l,right", "fold(False)", "↵ l →", "unfold", "unfold a turn or a sub-agent, or fold it", "session", 1),
    Key("fold", "left", "fold(True)", "←", "fold", "fold it, or go up to what it belongs to", "session"),
    Key("fold_all", "asterisk", "fold_all", "*", "fold all", "unfold all turns, or fold everything", "session"),
    Key("dearest", "m", "dearest", "m", "dearest", "most expensive turn; again: the next one", "session", 2),
    Key("trouble", "e", "trouble(1)", "e", "error", "next error, limit, interrupt, failed tool or kill", "session", 3),
    Key("trouble_back", "E", "trouble(-1)", "E", "error", "previous one", "session"),
    Key("agent", "a", "agent(1)", "a", "sub-agent", "next sub-agent", "session", 4),
    Key("agent_back", "A", "agent(-1)", "A", "sub-agent", "previous sub-agent", "session"),
    Key("parent", "u", "parent", "u", "parent", "what the line belongs to; at the top the session that started this one",
        "session", 5),
    Key("resume", "y", "copy_resume", "y", "copy resume", "copy the resume command", "session", 6),
    Key("transcript", "t", "transcript", "t", "transcript", "what was said, from the agent's own log", "session", 7),
    Key("html", "w", "export('html')", "w", "export", "write it as one HTML file with charts, and say where", "session", 8),
    Key("markdown", "M", "export('md')", "M", "Markdown", "write it as Markdown", "session"),
    Key("json", "J", "export('json')", "J", "JSON", "write it as JSON", "session"),
    Key("again", "r", "again", "r", "read again", "read its log again", "session"),
    Key("help", "question_mark,f1,h", "help", "? F1 h", "help", "these keys, and what the words mean", "session", 9),
    Key("back", "escape,q,s", "back", "Esc q", "back", "back to where you came from", "session", 10),
)  # fmt: skip

# Keys of the history.
HISTORY_KEYS: tuple[Key, ...] = (
    *_moves("history", "first line"),
    Key("open", "enter,l,right", "open", "↵ l →", "open", "open the session; fold or unfold a group", "history", 1),
    Key("search", "slash", "search", "/", "search", "search while you type", "history", 2),
    Key("group", "b", "group", "b", "group", "group by day, project, agent, model, or not", "history", 3),
    Key("sort_cost", "P", "sort('cost')", "P", "by cost", "sort by cost; again: turn the order round", "history", 4),
    Key("sort_tokens", "T", "sort('tokens')", "T", "by tokens", "sort by tokens", "history", 5),
    Key("sort_last", "L", "sort('last')", "L", "by time", "sort by the last activity", "history", 6),
    Key("sort_next", "greater_than_sign,f6", "sort_step(1)", "> F6", "order", "next order", "history"),
    Key("sort_previous", "less_than_sign", "sort_step(-1)", "<", "order", "previous order", "history"),
    Key("reverse", "I,r", "reverse", "I r", "reverse", "turn the order round", "history"),
    Key("unfold", "plus", "fold(False)", "+", "sub-agents", "show the sub-agents of a session, the sessions of a group",
        "history", 7),
    Key("fold", "minus", "fold(True)", "-", "fold", "put them away", "history"),
    Key("fold_all", "asterisk", "fold_all", "*", "fold all", "fold or unfold all groups", "history", 8),
    Key("said", "f", "said", "f", "in prompts",
        "look for the words in prompts and replies, where that is switched on; again: end it", "history", 9),
    Key("resume", "y", "copy", "y", "copy resume", "copy the resume command", "history", 10),
    Key("close", "q", "close", "q", "close", "back to the live screen", "history"),
    Key("help", "question_mark,f1,h", "help", "? F1 h", "help", "these keys, and what the search understands", "history", 11),
    Key("back", "escape,left", "back", "Esc ←", "back", "clear the search, then back to the live screen", "history", 12),
)  # fmt: skip

BY_ID = {key.id: key for key in KEYS}


def footer_keys(of: tuple[Key, ...] = KEYS) -> list[Key]:
    return sorted((key for key in of if key.footer), key=lambda key: key.footer)


def first(key: Key, ascii_only: bool) -> str:
    """The key to show where there is room for one: in ASCII one that needs no word for its glyph, if there is one."""
    ways = key.shown.split(" ")
    return shown_as(next((way for way in ways if way.isascii() or not ascii_only), ways[0]), ascii_only)


def shown_as(shown: str, ascii_only: bool) -> str:
    """Keys as the terminal can show them: where it has letters alone, arrows are words."""
    if not ascii_only:
        return shown
    for glyph, word in (("↵", "Ret"), ("↓", "Down"), ("↑", "Up"), ("→", "Right"), ("←", "Left")):
        shown = shown.replace(glyph, word)
    return shown
