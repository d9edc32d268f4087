"""The nouns of what git tells: commits, where they were made, which lines of them are still there.

Hashes are git's own, in hex. A path is as git has it; bytes that are no UTF-8 are surrogates (`os.fsdecode`).
Pure: no I/O, no clock.
"""

from __future__ import annotations

from msgspec import Struct


class FileChange(Struct, frozen=True, gc=False):
    """What a commit did to one file. `lines` = four bytes for each added line, a hash without its white space."""

    path: str
    old_path: str = ""  # where it was before, if it was renamed
    added: int | None = None  # None = binary, or too large
    removed: int | None = None
    lines: bytes = b""


class Commit(Struct, frozen=True, gc=False):
    """One commit. `author`, `subject` and `patch` are hashes; `patch` is 0 where nothing is known to be changed."""

    hash: str
    parents: tuple[str, ...]
    author: int
    author_ms: int
    commit_ms: int
    subject: int
    agents: tuple[str, ...] = ()  # that its author or a trailer names
    names: tuple[str, ...] = ()  # words of its trailers that may be the id of a session
    reverts: str = ""  # the commit that it takes back, as its message says
    patch: int = 0
    files: tuple[FileChange, ...] = ()
    problem: str = ""  # why its lines are not known: shallow, large, unread; "" = they are

    @property
    def is_merge(self) -> bool:
        return len(self.parents) > 1


class Made(Struct, frozen=True, gc=False):
    """A commit was made here, by the log that git keeps of each work tree and branch."""

    hash: str
    at_ms: int
    top: str  # of the work tree; "" = only a branch's log tells


class Tip(Struct, frozen=True, gc=False):
    """A branch and its commits since the time asked for, newest first, along the first parents."""

    name: str
    hash: str
    line: tuple[str, ...] = ()


class Repository(Struct, frozen=True):
    """One look at a repository. What was not looked at is said in `notes`."""

    place: str  # the git directory that its work trees share
    tops: tuple[str, ...]
    since_ms: int
    read_ms: int
    tips: tuple[Tip, ...] = ()  # the default branch first
    reached: frozenset[str] = frozenset()  # commits that a branch, tag or work tree leads to
    made: tuple[Made, ...] = ()
    has_logs: bool = False  # git keeps logs here: what is not in them was made elsewhere
    commits: tuple[Commit, ...] = ()
    notes: tuple[str, ...] = ()
