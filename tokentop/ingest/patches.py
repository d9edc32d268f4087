"""Git's patches of many commits -> what each did to which files. Pure.

Hunks are taken by the counts that their heads name, so that no line of a file can be taken for a head.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from zlib import crc32

from msgspec import Struct

from tokentop.nouns.commits import FileChange

LINES_MAX = 20_000  # of one commit whose contents are kept as hashes
_SHORT = 3
_COMMIT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_SPACE = b" \t\r\f\v"
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_QUOTED = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)


def changes_of(out: bytes, *, whole: bool = True) -> dict[str, tuple[int, tuple[FileChange, ...]]]:
    """(hash of the patch, files) by commit. Without `whole` the last commit was cut off and is left out.

    The hash is of paths and lines without white space and positions, so that a rebase does not change it; 0 = nothing
    was changed.
    """
    found: dict[str, tuple[int, tuple[FileChange, ...]]] = {}
    lines = iter(out.split(b"\n"))
    name = ""
    one = _Patch()
    for line in lines:
        if _COMMIT.fullmatch(line):
            if name:
                found[name] = one.done()
            name, one = line.decode(), _Patch()
        elif line.startswith(b":"):
            one.raw(line)
        elif line.startswith(b"diff --git "):
            one.section()
        elif line.startswith(b"Binary files "):
            one.binary()
        elif hunk := _HUNK.match(line):
            one.hunk(lines, int(hunk[1] or 1), int(hunk[2] or 1))
    if name and whole:
        found[name] = one.done()
    return found


class _File(Struct):
    path: str
    old_path: str
    added: int | None
    removed: int | None
    lines: array[int]


class _Patch:
    """One commit's patch while it is read. Sections come in the order of the raw lines before them."""

    def __init__(self) -> None:
        self._files: list[_File] = []
        self._sections: list[int] = []  # the file of each section to come
        self._ids: list[tuple[bytes, bytes]] = []
        self._at = -1
        self._hash = blake2b(digest_size=8)
        self._room = LINES_MAX
        self._any = False

    def raw(self, line: bytes) -> None:
        head, *paths = line.split(b"\t")
        words = head.split(b" ")
        if len(words) < 5 or not paths:
            return
        old, new = unquoted(paths[0]), unquoted(paths[-1])
        # a file that becomes a link has two sections
        self._sections += [len(self._files)] * (2 if words[4].startswith(b"T") else 1)
        self._files.append(_File(new, old if len(paths) > 1 else "", 0, 0, array("I")))
        self._ids.append((words[2], words[3]))
        self._hash.update(b"\0".join((words[0], words[1], words[4][:1], *paths)))
        self._any = True

    def section(self) -> None:
        self._at = self._sections.pop(0) if self._sections else -1

    def binary(self) -> None:
        if self._at >= 0:
            self._files[self._at].added = self._files[self._at].removed = None
            self._hash.update(b"".join(self._ids[self._at]))

    def hunk(self, lines: Iterator[bytes], removed: int, added: int) -> None:
        file = self._files[self._at] if self._at >= 0 else _File("", "", 0, 0, array("I"))
        for sign, count in ((b"-", removed), (b"+", added)):
            for _ in range(count):
                line = next(lines, b"")
                if line.startswith(b"\\"):  # "No newline at end of file"
                    line = next(lines, b"")
                bare = line[1:].translate(None, _SPACE)
                self._hash.update(sign + bare + b"\n")
                if sign == b"+" and self._room > 0:
                    self._room -= 1
                    file.lines.append(line_hash(bare))
        if file.added is not None and file.removed is not None:
            file.added, file.removed = file.added + added, file.removed + removed

    def done(self) -> tuple[int, tuple[FileChange, ...]]:
        files = tuple(
            FileChange(one.path, one.old_path, one.added, one.removed, one.lines.tobytes())
            for one in self._files
        )
        patch = int.from_bytes(self._hash.digest(), "big") >> 1
        return (patch or 1) if self._any else 0, files


def line_hash(bare: bytes) -> int:
    """Of a line without its white space; 0 = it is short, as the end of a block is, and tells nothing."""
    return crc32(bare) or 1 if len(bare) > _SHORT else 0


def unquoted(path: bytes) -> str:
    """A path as git writes it, in quotes where it has unusual characters."""
    if not (path.startswith(b'"') and path.endswith(b'"') and len(path) > 1):
        return path.decode("utf-8", "surrogateescape")
    text = path[1:-1].decode("latin-1")

    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code, 8) & 255 if len(code) == 3 else _ESCAPES.get(code, ord(code)))

    return _QUOTED.sub(one, text).encode("latin-1").decode("utf-8", "surrogateescape")
