"""A log is opened and recognised: never through a link, by a hash of its bytes, no line can stop its reader."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL: 4 ms of every start
except ImportError:
    from hashlib import blake2b
from typing import IO

import msgspec

from tokentop.agents.base import Decoder, LogFile
from tokentop.latelog import LateLog
from tokentop.nouns.facts import Diagnostic

from .listing import LogEntry

log = LateLog(__name__)

BESIDE_BYTES = 64 << 10


def fingerprint(data: bytes | bytearray | memoryview) -> int:
    """A 63-bit hash, the same on every machine."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1


def open_log(path: str) -> IO[bytes]:
    """Open a regular file for reading, never through a link and never waiting for a pipe. OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    file = open(os.open(path, flags), "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(22, "not a regular file", path)
    return file


def with_beside(entry: LogEntry) -> LogFile:
    """What a reader may know of its log, with the small file near it that its source names."""
    file, name = entry.file, entry.source.beside
    if not name:
        return file
    try:
        with open_log(os.path.normpath(os.path.join(os.path.dirname(entry.path), name))) as near:
            return msgspec.structs.replace(file, beside=near.read(BESIDE_BYTES))
    except OSError:
        return file


def guarded(decoder: Decoder, agent: str) -> Callable[[bytearray], None]:
    """The decoder's `line`, which no line can stop: what it fails on is a diagnostic."""
    decode = decoder.line

    def give(line: bytearray) -> None:
        try:
            decode(line)
        except Exception as error:
            log.exception("a line could not be decoded")
            decoder.facts.append(Diagnostic(agent, "failed-line", type(error).__name__))

    return give
