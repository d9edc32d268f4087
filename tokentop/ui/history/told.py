"""What the history says beside its lines: the title, the help, the resume command. Pure."""

from __future__ import annotations

from tokentop import text
from tokentop.agents import all_agents
from tokentop.nouns.history import (
    BACKLOG,
    BEST,
    COST,
    HELP,
    LAST,
    RESPONSES,
    TOKENS,
    Ask,
    Entry,
    Listing,
    Scan,
)
from tokentop.ui.keys import HISTORY_KEYS, shown_as

_ORDERS = {
    BEST: ("the likest", "the likest"), LAST: ("newest", "oldest"), COST: ("dearest", "cheapest"),
    TOKENS: ("most tokens", "fewest tokens"), RESPONSES: ("most responses", "fewest responses"),
}  # fmt: skip
Pieces = list[tuple[str, str]]


def sort_of(ask: Ask) -> str:
    """The order of an answer."""
    return ask.sort or (BEST if ask.query.strip() and not ask.group else LAST)


def title(
    found: Listing, scan: Scan | None, failed: str, *, scanning: bool, answered: bool, label: str = ""
) -> Pieces:
    """`scan` = of prompts and replies, None = the list is shown; `failed` = the type of an error.

    `label` = what the sessions are, where they are not real.
    """
    pieces = [(" History", "title"), *([(f" {label}", "warm")] if label else [])]
    if failed:
        return [*pieces, (f"   could not be looked up ({failed}); see the log file", "error")]
    if scan is not None:
        looked = f"   prompts and replies: {scan.looked:,} of {scan.total:,} sessions looked at"
        gone = f", {scan.passed:,} without a log" if scan.passed else ""
        return [*pieces, (f"   {text.plural(len(scan.found), 'session')}", "strong"),
                (looked, "warm" if scanning else "dim"), (gone, "dim")]  # fmt: skip
    if not answered:
        return [*pieces, ("   being looked up", "dim")]
    sort = sort_of(found.ask)
    order = f"   {_ORDERS[sort][found.ask.ascending]} first"
    pieces += [(f"   {text.plural(len(found.order), 'session')}", "strong"), (order, "dim")]
    if found.ask.group:
        pieces.append((f"   by {found.ask.group}", "dim"))
    if found.waiting > BACKLOG:
        pieces.append((f"   {found.waiting:,} to be indexed", "warm"))
    return pieces


_HINTS = (
    "words, slips forgiven   agent:claude proj:api cost>5 since:2d outcome:commit file:retry !word ~regex",
    "words, slips forgiven   agent:claude cost>5 since:2d !word ~regex",
    "words   agent:claude cost>5 since:2d",
    "words or agent:claude",
)


def hint(room: int) -> str:
    """What the search understands, as far as it has room."""
    return next((one for one in _HINTS if len(one) <= room), "")


def nothing_found(query: str) -> str:
    """What stands in the place of an answer that is empty, and what may help; "" where nothing was asked."""
    if not query.strip():
        return ""
    said = "no session matches; Esc clears the search"
    if "outcome:" in query:
        return said + "\ntokentop outcome works outcomes out, from git and the logs"
    if "tool:" in query or "file:" in query:
        return (
            said + "\ntools and files are known once a log has been read whole: tokentop sync does it at once"
        )
    return said


def history_help(ascii_only: bool) -> list[Pieces]:
    """The keys of the history, and the language of its search."""
    out: list[Pieces] = [[("Keys of the history", "title")], []]
    out += [
        [(f"  {shown_as(key.shown, ascii_only):<12}", "key"), (key.help, "muted")] for key in HISTORY_KEYS
    ]
    out += [[], [("Search", "title")], []]
    for term, meaning in HELP:
        out += [[(f"  {term}", "key")], [(f"      {meaning}", "muted")]]
    return out


def resume_command(entry: Entry) -> str:
    """The command that goes on with a session, "" = there is none; a sub-agent is resumed through its parent."""
    if "/" in entry.session_id:
        return ""
    found = next((agent for agent in all_agents() if agent.id == entry.agent), None)
    return found.resume_command(entry.session_id) if found is not None else ""
