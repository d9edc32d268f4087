"""The nouns of the history: all sessions there ever were, as a list that is asked for and scrolled. Pure."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

BEST, LAST, COST, TOKENS, RESPONSES = "best", "last", "cost", "tokens", "responses"
SORTS = (LAST, COST, TOKENS, RESPONSES)
GROUPS = ("", "day", "project", "agent", "model")
BACKLOG = 300  # sessions that wait for the index; agents change fewer between two slices, more are told
HELP: tuple[tuple[str, str], ...] = (
    ("words", "titles, projects, branches, tools, files touched; slips and left-out letters are forgiven"),
    ("agent: proj: model: branch: title: cwd: session: kind: tool: file:", "the field contains the text"),
    (
        "outcome:commit outcome:file outcome:no outcome:?",
        "as its column tells; commits come before files changed",
    ),
    (
        "state:perm state:work !state:done",
        "what runs, by its state on the live screen; done = what does not run",
    ),
    ("since:2d until:today on:2026-11-20", "when: a day, a moment, or how long ago"),
    ("cost>5 tokens>1m responses>100 age>2h took>1h", "compare: dollars, tokens, responses, time"),
    ("!word !agent:codex", "everything but"),
    ("~regex", "regular expression on title, project, model and agent"),
)


class Ask(Struct, frozen=True):
    """Which sessions, in which order. `query` is a filter in the language of `engine/terms.py`.

    With words in it sub-agents are found too, each by itself; without, each session stands for all below it.
    `flat`: every session and sub-agent stands for itself alone, with its own sums.
    """

    query: str = ""
    sort: str = ""  # "" = the best first where there are words, else the last
    ascending: bool = False
    group: str = ""
    flat: bool = False
    limit: int = 0  # 0 = all there are
    running: tuple[tuple[str, str, str], ...] | None = None  # (agent, session id, state); None = not known


class Group(Struct, frozen=True, gc=False):
    """One group of a list: its name, where it begins in `Listing.order`, and the sums of its sessions."""

    name: str
    at: int
    count: int
    tokens: int
    cost_nusd: int
    unpriced: bool  # a part of it has no price, or is a call whose usage is not known
    estimated: bool = False  # a part of it is


class Listing(Struct, frozen=True, gc=False):
    """An answer: the sessions (their ids in the store) in order, and what qualifies it."""

    ask: Ask
    order: tuple[int, ...]
    groups: tuple[Group, ...] = ()
    waiting: int = 0  # sessions that have changed and are not in the index yet
    cut: bool = False  # there are more, less like what was asked
    problem: str = ""  # why there is no answer: the query cannot be understood, the store cannot be read


class Scan(Struct, frozen=True, gc=False):
    """How far a search in prompts and replies has come."""

    looked: int = 0
    total: int = 0
    passed: int = 0  # without a log that can be read
    found: tuple[int, ...] = ()  # newest first
    problem: str = ""

    def at(self, looked: int, passed: int) -> Scan:
        return replace(self, looked=looked, passed=passed)

    def with_found(self, one: int) -> Scan:
        return replace(self, found=(*self.found, one))


class Entry(Struct, frozen=True, gc=False):
    """One session of the list. Sums include what is below it, those of a sub-agent are its own."""

    id: int  # in this store
    root: int  # the entry that it is shown below; itself where it is one of the list
    agent: str
    session_id: str
    parent_id: str
    role: str
    project: str
    title: str
    branch: str
    cwd: str
    model: str
    first_ms: int
    last_ms: int
    responses: int
    tokens: int
    cost_nusd: int
    unpriced_tokens: int
    unknown_calls: int
    estimated: bool
    below: int  # sub-agents
    commits: int = 0  # of git that are its own, or partly, as far as `tokentop outcome` has looked
    files: int | None = None  # that it and what is below it changed; None = not known
