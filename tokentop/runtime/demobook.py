"""The store of the demo, in memory: what its agents spend and do is kept, recorded and searched as the real thing is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from tokentop.answers.archive import MemoryArchive
from tokentop.answers.bought import bought_by
from tokentop.answers.chronicle import tell
from tokentop.answers.footage import Footage
from tokentop.blackbox import BlackBox
from tokentop.clock import now_ms
from tokentop.engine.tally import Bought
from tokentop.engine.timeline import Timeline
from tokentop.engine.work import spent_by, work_of
from tokentop.nouns.actions import Receipt
from tokentop.nouns.outline import Outline
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Usage
from tokentop.settings.config import Settings
from tokentop.store import outcomes, outlines, reader
from tokentop.store.counting import Prices
from tokentop.store.db import copy_memory, open_memory
from tokentop.store.receipts import append_action
from tokentop.store.writer import Writer


class DemoBook:
    """One thread only."""

    def __init__(self, prices: Prices, zone: tzinfo, *, titles: bool) -> None:
        self._db = open_memory()
        self._box = BlackBox(self._db, Settings())
        self._writer = Writer(self._db, prices, titles)
        self.archive = MemoryArchive(self._db, zone, now_ms)

    def record(self, snapshot: Snapshot) -> None:
        self._box.look(snapshot)

    def act(self, receipt: Receipt) -> None:
        append_action(self._db, receipt)

    def take(self, facts: Sequence[Session | Usage], deeds: Sequence[tuple[Session, Outline]]) -> None:
        """Keep what was told; history, sessions and spans tell of it from then on."""
        self._writer.commit(facts)
        for session, outline in deeds:
            outlines.keep(self._db, session, outline)
            self._keep_work(session, outline)
        self.archive.index()

    def _keep_work(self, session: Session, outline: Outline) -> None:
        name = session.agent, session.id
        number = outcomes.ids(self._db, [name]).get(name)
        if number is not None:
            calls = [spent_by(event) for event in reader.events_of_one(self._db, number)]
            work = work_of(outline, session.cwd, calls)
            kept = outcomes.Kept(session.last_ms, outline.read_ms, 0, work)
            outcomes.keep_works(self._db, [(number, kept)])

    def tell(self, agent: str, session_id: str) -> Timeline | None:
        return tell(self._db, agent, session_id, now_ms())

    def bought(self, agent: str, session_id: str) -> Bought | None:
        return bought_by(self._db, agent, session_id, Settings().survive_days, now_ms())

    def footage(self) -> Footage:
        """What was recorded and spent up to now."""
        return Footage(copy_memory(self._db))
