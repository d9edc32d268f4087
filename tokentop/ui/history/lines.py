"""The lines of the history: headers of groups, sessions, and what is unfolded below them. Pure.

A session that has not come into view is its id alone; its entry is asked for when it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from tokentop.nouns.history import Ask, Entry, Group, Listing

Item = int | Group | Entry  # a session of the list, a header, or a sub-agent below the session above it


class Lines:
    """What stands in the list, and where the cursor is. The cursor stays on its session when the answer changes."""

    def __init__(self) -> None:
        self.listing = Listing(Ask(), ())
        self.items: list[Item] = []
        self.entries: dict[int, Entry] = {}
        self.stale: set[int] = set()  # of an earlier answer: shown until they have been asked for again
        self.folded: set[str] = set()  # names of groups
        self.unfolded: dict[int, tuple[Entry, ...]] = {}  # what stands below sessions
        self.at = 0

    # ------------------------------------------------------------ data

    def put(self, listing: Listing) -> None:
        """Take an answer over. Another question begins at the top."""
        same = replace(listing.ask, running=None) == replace(self.listing.ask, running=None)
        if listing.ask.group != self.listing.ask.group:
            self.folded.clear()
        self.listing = listing
        self.stale = set(self.entries)
        self._lay_out(keep=same)

    def learn(self, entries: Iterable[Entry]) -> None:
        """Entries that were asked for."""
        for entry in entries:
            self.entries[entry.id] = entry
            self.stale.discard(entry.id)

    def missing(self, first: int, count: int) -> list[int]:
        """The sessions of so many lines whose entries have to be asked for."""
        return [
            item
            for item in self.items[max(0, first) : first + count]
            if isinstance(item, int) and (item not in self.entries or item in self.stale)
        ]

    def _lay_out(self, *, keep: bool) -> None:
        before = self.key if keep else None
        items: list[Item] = []
        order, groups = self.listing.order, self.listing.groups
        if groups:
            for group in groups:
                items.append(group)
                if group.name not in self.folded:
                    items += order[group.at : group.at + group.count]
        else:
            items += order
        if self.unfolded:
            items = [part for item in items for part in self._with_below(item)]
        self.items = items
        self.at = 0 if before is None else self._place(before, self.at)

    def _with_below(self, item: Item) -> Sequence[Item]:
        return (item, *self.unfolded.get(item, ())) if isinstance(item, int) else (item,)

    # ------------------------------------------------------------ cursor

    @property
    def key(self) -> int | str | None:
        """What the cursor is on: the id of a session, the name of a group."""
        return _key(self.items[self.at]) if self.at < len(self.items) else None

    @property
    def chosen(self) -> Entry | None:
        """The session under the cursor, where it is known."""
        item = self.items[self.at] if self.at < len(self.items) else None
        return self.entries.get(item) if isinstance(item, int) else item if isinstance(item, Entry) else None

    @property
    def group(self) -> Group | None:
        item = self.items[self.at] if self.at < len(self.items) else None
        return item if isinstance(item, Group) else None

    def move(self, by: int) -> None:
        self.at = min(max(0, self.at + by), max(0, len(self.items) - 1))

    def _place(self, key: int | str, near: int) -> int:
        for at, item in enumerate(self.items):
            if _key(item) == key:
                return at
        return min(near, max(0, len(self.items) - 1))

    # ------------------------------------------------------------ folding

    def toggle_group(self, name: str) -> None:
        self.folded ^= {name}
        self._lay_out(keep=True)

    def fold_all(self) -> None:
        """Fold all groups; where all are folded, or there are sub-agents to be seen, unfold or fold these."""
        names = {group.name for group in self.listing.groups}
        self.unfolded.clear()
        self.folded = set() if names <= self.folded else names
        self._lay_out(keep=True)

    def unfold(self, root: int, below: tuple[Entry, ...]) -> None:
        self.unfolded[root] = below
        self._lay_out(keep=True)

    def fold(self, root: int) -> None:
        """Put what stands below a session away; the cursor goes to the session."""
        if self.unfolded.pop(root, None) is not None:
            self._lay_out(keep=True)
            self.at = self._place(root, self.at)


def _key(item: Item) -> int | str:
    if isinstance(item, Entry):
        return item.id
    return item.name if isinstance(item, Group) else item
