"""One message, part or session of OpenCode and its kin, whatever store it lies in. Pure.

A v1 assistant message is one model call: `{role, parentID, agent, modelID, providerID, path{cwd}, cost,
tokens{input, output, reasoning, cache{read, write}}, time{created, completed}, finish, error{name, data}}`. The row
is written with zeros when the call starts and updated when the step, its tools included, has ended.
In v2 the kind is a column, `model{id, providerID}` is an object and `content[]` holds what were parts.
"""

from __future__ import annotations

from typing import Any

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import title

from .decoding import count, epoch_ms, identifier, label, obj, objects, record, string, text, tokens

_GOES_ON = {"tool-calls", "unknown"}  # finish reasons after which the next step follows
_ABORTED = {"MessageAbortedError", "AbortError", "aborted", "interrupted"}
_NO_TITLE = ("New session - ", "Child session - ")  # and a time, until a title was made
_CLOCK_SLACK_MS = 1_000
_ID_WRAP_MS = 1 << 36  # ids hold 48 bits of time * 4096
_MAX_USD = 10_000


class Message:
    """One assistant message: a model call."""

    __slots__ = ("agent", "completed_ms", "created_ms", "data", "id", "session_id")

    def __init__(
        self, agent: str, session_id: object, message_id: object, created: object, data: dict[str, Any]
    ) -> None:
        """Times in the data are told more exactly than the row's, which is `created`."""
        time = obj(data.get("time"))
        self.agent = agent
        self.session_id = identifier(string(session_id))
        self.id = identifier(string(message_id))
        self.data = data
        self.created_ms = epoch_ms(time.get("created")) or epoch_ms(created)
        self.completed_ms = epoch_ms(time.get("completed"))

    @property
    def tokens(self) -> dict[str, Any]:
        return obj(self.data.get("tokens"))

    @property
    def model(self) -> str:
        """The model as logged."""
        about = obj(self.data.get("model"))
        return label(
            string(self.data.get("modelID")) or string(about.get("id")) or string(about.get("modelID"))
        )

    @property
    def provider(self) -> str:
        return label(
            string(self.data.get("providerID")) or string(obj(self.data.get("model")).get("providerID"))
        )

    @property
    def error(self) -> dict[str, Any]:
        return obj(self.data.get("error"))


def counts(one: Message, facts: list[Fact]) -> Tokens:
    """Input excludes everything cached, output excludes reasoning; the writes' time to live is not told."""
    raw, cache = one.tokens, obj(one.tokens.get("cache"))
    return tokens(
        one.agent, facts, fresh=raw.get("input"), cache_read=cache.get("read"), cache_write=cache.get("write"),
        output=raw.get("output"), thoughts=raw.get("reasoning"),
    )  # fmt: skip


def usage(one: Message, used: Tokens, model: str = "", provider: str = "") -> Usage | None:
    """The call as a fact; None where the provider refused it. Zeros are a call whose tokens are not told."""
    known = used.total > 0
    if not known and _status_code(one) >= 400:
        return None
    return Usage(
        one.agent, one.session_id, one.id, one.created_ms, one.model or model, used, one.provider or provider,
        max(0, one.completed_ms - one.created_ms) if one.completed_ms else 0,
        logged_nusd=_cost(one.data.get("cost")),
        kind=Kind.RESPONSE if known else Kind.UNKNOWN,
    )  # fmt: skip


def context(one: Message, used: Tokens) -> Context:
    return Context(one.agent, one.session_id, one.completed_ms or one.created_ms, used.prompt + used.output)


def ended(one: Message, used: Tokens) -> Activity:
    """What the end of a step says: the next one follows, the turn is over, or it failed."""
    state, detail = State.IDLE, ""
    error = one.error
    if error:
        kind = text(error.get("name")) or text(error.get("type"))
        if kind not in _ABORTED:
            state = State.LIMITED if _status_code(one) == 429 else State.ERROR
            detail = text(obj(error.get("data")).get("message") or error.get("message"), 200) or kind
    elif text(one.data.get("finish")) in _GOES_ON:
        state = State.WORKING
    lost = "" if used.total else one.id
    return Activity(
        one.agent, one.session_id, one.completed_ms, state, detail=detail, ends_call="" if lost else one.id,
        lost_call=lost,
    )  # fmt: skip


def started(one: Message) -> Activity:
    return Activity(one.agent, one.session_id, one.created_ms, State.WORKING, call_id=one.id)


def progress(one: Message, parts: list[dict[str, Any]], seen_ms: int) -> Activity | None:
    """What runs inside an open step: its newest running tool, else that something was written at `seen_ms`.

    A tool runs when the model has asked for it: that call is over, though its counts come after the tool.
    """
    for part in parts:
        state = obj(part.get("state"))
        if part.get("type") != "tool" or state.get("status") != "running":
            continue
        given = obj(state.get("input"))
        what = next((given[k] for k in ("command", "description", "filePath", "pattern") if given.get(k)), "")
        at_ms = epoch_ms(obj(state.get("time")).get("start")) or epoch_ms(obj(part.get("time")).get("ran"))
        return Activity(
            one.agent, one.session_id, max(at_ms or seen_ms, one.created_ms + 1), State.TOOL,
            text(part.get("tool") or part.get("name")), text(what), ends_call=one.id,
        )  # fmt: skip
    return (
        Activity(one.agent, one.session_id, seen_ms, State.WORKING, call_id=one.id)
        if seen_ms > one.created_ms
        else None
    )


def fingerprint(one: Message, whole: bool = True) -> tuple[object, ...]:
    """What a copy in a fork has in common with its original; an unfinished one its start. Not the ids, and not the
    cost: Kilo's copies have none."""
    cache = obj(one.tokens.get("cache"))
    start = (one.provider, one.model, one.created_ms)
    if not whole:
        return start
    return (
        *start, one.completed_ms, *(count(one.tokens.get(name)) for name in ("input", "output", "reasoning")),
        count(cache.get("read")), count(cache.get("write")),
    )  # fmt: skip


def is_late_id(one: Message) -> bool:
    """Whether the id was made after the message had ended: a fork copies messages under new ids.

    Ids are `msg_` and 12 hexadecimal digits of time * 4096 + counter, cut to 48 bits, then random characters.
    """
    try:
        minted_ms = int(one.id[4:16], 16) >> 12
    except ValueError:
        return False
    end_ms = one.completed_ms or one.created_ms + _CLOCK_SLACK_MS
    late_ms = (minted_ms - end_ms) % _ID_WRAP_MS
    return one.created_ms > 0 and 0 < late_ms < _ID_WRAP_MS // 2


class About:
    """What a session's row or file says, unchecked, in the order of the row."""

    __slots__ = (
        "agent", "branch", "created", "directory", "fork_of", "id", "model", "parent", "title", "updated", "version",
    )  # fmt: skip

    def __init__(
        self, session_id: object = None, parent: object = None, directory: object = None, title: object = None,
        version: object = None, agent: object = None, model: object = None, created: object = None,
        updated: object = None,
    ) -> None:  # fmt: skip
        self.id, self.parent, self.directory, self.title = session_id, parent, directory, title
        self.version, self.agent, self.created, self.updated = version, agent, created, updated
        self.model = model  # JSON text or object {id, providerID}
        self.branch: object = None
        self.fork_of = ""


def session(agent: str, about: About, path: str, prompt: str = "") -> Session:
    """The session as a fact; `prompt` names one that has no title yet."""
    parent, named = identifier(string(about.parent)), string(about.title)
    if named.startswith(_NO_TITLE):
        named = ""
    role = Role.SUB_AGENT if parent else Role.FORK if about.fork_of else None
    return Session(
        agent, identifier(string(about.id)), parent or about.fork_of, role=role, cwd=text(about.directory, 1000),
        branch=text(about.branch), title=title(named or prompt), title_rank=2 if named else 1,
        model=model_of(about.model)[0], first_ms=epoch_ms(about.created), last_ms=epoch_ms(about.updated),
        version=text(about.version, 20), surface=text(about.agent, 40), log_path=path,
    )  # fmt: skip


def has_title(about: About) -> bool:
    return bool(string(about.title)) and not string(about.title).startswith(_NO_TITLE)


def model_of(value: object) -> tuple[str, str]:
    """(model, provider) that a session uses now."""
    about = (record(value) or {}) if isinstance(value, str) else obj(value)
    return label(string(about.get("id")) or string(about.get("modelID"))), label(
        string(about.get("providerID"))
    )


def words(parts: list[dict[str, Any]]) -> str:
    """The first text of a message."""
    return next((text(p.get("text"), 400) for p in parts if p.get("type") == "text" and p.get("text")), "")


def content(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts inside a v2 message, newest first."""
    return objects(data.get("content"))[::-1]


def _status_code(one: Message) -> int:
    """The HTTP status of an error answer; 0 = no error, or none that the provider gave."""
    error = one.error
    found = obj(error.get("data")).get("statusCode") or error.get("status") or error.get("statusCode")
    return found if type(found) is int else 0


def _cost(value: object) -> int | None:
    """The logged cost in nano-dollars. 0 says nothing: subscriptions and free models log it."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _MAX_USD:
        return round(value * 1e9) or None
    return None
