"""The tags of the table: rows that are acted on together. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import State


class Tags:
    """The keys of tagged rows, in the order in which they were tagged. A tag never outlives its session."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}
        self._rows: Mapping[str, Row] = {}  # the newest ones, shown or not
        self.ended = 0  # since the last change of a tag by a person

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def see(self, rows: Mapping[str, Row]) -> frozenset[str]:
        """Take the newest rows; returns the keys whose tags have ended.

        What is started later under the same name is another session.
        """
        self._rows = rows
        lost = frozenset(key for key in self._keys if not self._alive(key))
        for key in lost:
            del self._keys[key]
        self.ended += len(lost)
        return lost

    def toggle(self, key: str) -> bool:
        """Tag a row, or take its tag away; False for a row that has ended."""
        self.ended = 0
        if key in self._keys:
            del self._keys[key]
            return True
        if not self._alive(key):
            return False
        self._keys[key] = None
        return True

    def toggle_tree(self, key: str) -> bool:
        """Tag a row and the agents below it; where all of them are, take the tags away. False = nothing to tag.

        Sub-agents live in the process of the agent above them, tools are its own: neither is an agent to act on.
        """
        self.ended = 0
        agents = (one for one in self._below(key) if one == key or self._rows[one].kind == "agent")
        alive = [one for one in agents if self._alive(one)]
        if alive and all(one in self._keys for one in alive):
            for one in alive:
                del self._keys[one]
        else:
            self._keys.update(dict.fromkeys(alive))
        return bool(alive)

    def clear(self) -> None:
        self._keys.clear()
        self.ended = 0

    def rows(self, index: Mapping[str, int]) -> list[Row]:
        """The tagged rows as they are now, in the order of the screen (`index`); hidden ones come last."""
        keys = sorted(self._keys, key=lambda key: index.get(key, len(index)))
        return [self._rows[key] for key in keys if key in self._rows]

    def hidden(self, index: Collection[str]) -> int:
        """How many tagged rows a filter, a fold or the flat view keeps off the screen."""
        return sum(key not in index for key in self._keys)

    def summary(self, index: Collection[str]) -> str:
        """`3 tagged, 2 hidden, 1 ended`, "" without any."""
        if not self._keys and not self.ended:
            return ""
        hidden = self.hidden(index)
        parts = [f"{len(self._keys)} tagged"]
        parts += [f"{hidden} hidden"] if hidden else []
        parts += [f"{self.ended} ended"] if self.ended else []
        return ", ".join(parts)

    def _alive(self, key: str) -> bool:
        row = self._rows.get(key)
        return row is not None and row.status.state is not State.DONE

    def _below(self, key: str) -> list[str]:
        """A row and all below it, folded and filtered ones too."""
        if key not in self._rows:
            return []
        below: dict[str, list[str]] = {}
        for row in self._rows.values():
            below.setdefault(row.parent_key, []).append(row.key)
        found, seen = [key], {key}
        for one in found:
            new = [child for child in below.get(one, ()) if child not in seen]
            seen.update(new)
            found += new
        return found
