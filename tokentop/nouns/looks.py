"""What was looked up because somebody wants to see it."""

from __future__ import annotations

from msgspec import Struct


class Step(Struct, frozen=True, gc=False):
    """One thing that a session did, as its own log tells it: made when it is asked for, never stored.

    Texts are on one line, cleaned, secrets masked.
    """

    kind: str  # tool, answer, prompt, compaction
    name: str = ""  # the tool, or the model that answered
    detail: str = ""  # its telling argument, or the first words
    at_ms: int = 0  # 0 = the log gives no time
    result: str = ""  # ok, failed, open (the log has no result yet), "" = the log does not tell
    took_ms: int | None = None


class Port(Struct, frozen=True, gc=False):
    """A TCP port on which a process of an agent listens."""

    port: int
    address: str  # as bound: 127.0.0.1, ::, ...
    pid: int
    command: str


class Minutes(Struct, frozen=True, gc=False):
    """Tokens of one session by kind in cells of a minute, oldest first; the last cell is the present minute."""

    output: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()
    input: tuple[int, ...] = ()
    reads: tuple[int, ...] = ()
    from_ms: int = 0  # what happened before is not in it
    source: str = ""  # memory, store


class Look(Struct, frozen=True, gc=False):
    """What was looked up about one row because somebody wants to see it. A note says why something is missing."""

    row_key: str
    at_ms: int
    steps: tuple[Step, ...] = ()  # oldest first
    steps_note: str = ""
    log: str = ""  # the log's kind, size and last change, in words
    ports: tuple[Port, ...] = ()
    ports_note: str = ""
    minutes: Minutes | None = None
    compactions: int = 0  # since `seen_ms`
    compacted_ms: int = 0  # the newest one, 0 = none seen
    seen_ms: int = 0  # since when the session's context is watched, 0 = it is not
    quality: str = ""  # how good the agent's token counts are at best
    missing: str = ""  # what its logs do not give
    price: str = ""  # the price list and its date, "" = the model has no price
    price_estimated: bool = False


class LogTail(Struct, frozen=True, gc=False):
    """The end of a session's log: whole lines, cleaned and masked, and the steps that they tell."""

    lines: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    skipped: int = 0  # bytes before the first line
    note: str = ""  # what is wrong with it, "" = nothing
    state: tuple[int, int, int] = (0, 0, 0)  # inode, size, mtime_ns when it was read


class Inside(Struct, frozen=True, gc=False):
    """What one process was started with. `refusal` says why nothing is shown, "" = it is shown."""

    pid: int
    start_ticks: int
    refusal: str = ""
    argv: tuple[str, ...] = ()  # secrets masked
    cwd: str = ""
    env: tuple[tuple[str, str, bool], ...] = ()  # name, value, whether the value is shown as it is
    env_note: str = ""
    ports: tuple[Port, ...] = ()
    ports_note: str = ""
    note: str = ""  # how the process belongs to the row, where that is not plain


class FolderChange(Struct, frozen=True, gc=False):
    """When something last changed in a folder, as far as git can tell."""

    folder: str
    source: str  # git, none (in no work tree), slow (git did not answer in time)
    changed_ms: int  # 0 = not known
    looked_ms: int
