"""Who wrote each line of the files of one tree, as git tells. A file is asked for once: it is known by its blob."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Sequence

from .patches import line_hash
from .reading import Reading

_HEAD = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?) \d+ \d+(?: \d+)?")
_SPACE = b" \t\r\f\v"
_PATHS = 400  # of one question
_FILE_BYTES = 48 << 20
_BIG = 8 << 20  # a file that is larger counts as binary


def blobs_of(reading: Reading, tree: str, paths: Sequence[str]) -> dict[str, str] | None:
    """The blob of each path that is a file of the tree; None = git did not tell all."""
    found: dict[str, str] = {}
    for at in range(0, len(paths), _PATHS):
        some = [path.encode("utf-8", "surrogateescape") for path in paths[at : at + _PATHS]]
        answer = reading.objects("ls-tree", "-r", "-z", "-l", "--full-tree", tree, "--", *some)
        if answer.problem:
            return None
        for entry in answer.out.split(b"\0"):
            head, _, path = entry.partition(b"\t")
            words = head.split()
            if len(words) == 4 and words[1] == b"blob" and words[3].isdigit() and int(words[3]) <= _BIG:
                found[path.decode("utf-8", "surrogateescape")] = words[2].decode()
    return found


def lines_of(
    reading: Reading, tree: str, path: str, since_ms: int, wanted: Collection[str]
) -> dict[str, bytes] | None:
    """Hashes of the lines that commits in `wanted`, none before `since_ms`, wrote; None = git did not tell all.

    A line that only changed its white space stays with who wrote it.
    """
    answer = reading.objects(
        "blame", "--porcelain", "-w", "--root", f"--since={since_ms // 1000}", tree, "--",
        path.encode("utf-8", "surrogateescape"), most=_FILE_BYTES,
    )  # fmt: skip
    if answer.problem:
        return None
    found: dict[str, array[int]] = {}
    older: set[str] = set()
    name = ""
    for line in answer.out.split(b"\n"):
        if line.startswith(b"\t"):
            if name in wanted and name not in older:
                found.setdefault(name, array("I")).append(line_hash(line[1:].translate(None, _SPACE)))
        elif head := _HEAD.fullmatch(line):
            name = head[1].decode()
        elif line == b"boundary":
            older.add(name)
    return {one: lines.tobytes() for one, lines in found.items()}
