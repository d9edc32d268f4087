"""What most decoders of JSON lines share: one object a line, a memory of plain data, no ancestor. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact

from .base import LogFile
from .decoding import after_torn, record, unparsed


class NoMemory(Struct):
    """Of a decoder that remembers nothing between two lines."""


M = TypeVar("M", bound=Struct)


class LineReader(Generic[M]):
    """See `base.Decoder`. A decoder of this kind has `needles` and `_record()`; `_memory` is its state."""

    ancestor = ""  # copies in a fork have the keys of the originals

    def __init__(self, agent: str, file: LogFile, state: bytes, memory: type[M]) -> None:
        self.facts: list[Fact] = []
        self.live = False
        self._agent = agent
        self._file = file
        self._memory = msgspec.msgpack.decode(state, type=memory) if state else memory()

    @property
    def needles(self) -> tuple[bytes, ...]:
        raise NotImplementedError

    def line(self, line: bytearray | bytes) -> None:
        found = record(line)
        if found is not None:
            self._record(found)
            return
        self.facts.append(unparsed(self._agent))
        if (whole := after_torn(line)) is not None:
            self.line(whole)

    def _record(self, found: dict[str, Any]) -> None:
        """Turn one record into facts."""
        raise NotImplementedError

    def set_ancestor(self, vectors: Sequence[tuple[int, ...]] | None) -> None:
        """No ancestor is ever asked for."""

    def flush(self) -> None:
        """Nothing is held back."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self._memory)
