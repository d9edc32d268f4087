"""What a screen asks beyond the table: one row, the history, a session, the bill. In the asking thread, which waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tokentop.clock import now_ms
from tokentop.nouns.looks import Inside, LogTail, Look
from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import Session
from tokentop.settings.config import Settings
from tokentop.settings.zone import local_zone

from .questions import Questions

if TYPE_CHECKING:
    from tokentop.agents._spoken import Said
    from tokentop.answers.archive import Archive
    from tokentop.answers.bookkeeper import Bookkeeper
    from tokentop.answers.footage import Footage
    from tokentop.answers.look import Looker
    from tokentop.collector import Collector
    from tokentop.engine.statement import Statement
    from tokentop.engine.tally import Bought
    from tokentop.engine.timeline import Timeline
    from tokentop.nouns.history import Ask, Entry, Listing, Scan
    from tokentop.nouns.outline import Outline
    from tokentop.pricing.table import PriceTable

SAID_OFF = "prompts and replies are not searched: search_prompts is off in the settings"


def _index(collector: Collector) -> None:
    collector.index()


class Answers:
    """The part of a source that only answers; what only the live state knows is asked of the collector."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], settings: Settings, questions: Questions
    ) -> None:
        self._folder = folder
        self._environ = environ
        self._settings = settings
        self._questions = questions
        self._answering, self._reading = threading.Lock(), threading.Lock()  # each has a connection
        self._asks = 0

    # ------------------------------------------------------------ a row

    def look(self, row: Row) -> Look:
        """What the drawer shows beyond the row; blocks while the log is read."""
        found, at = self._questions.ask(lambda collector: collector.look(row))
        return self._looker.look(row, found, at)

    def inside(self, row: Row) -> Inside:
        """What the row's process was started with; blocks."""
        _, at = self._questions.ask(lambda collector: collector.look(row))
        return self._looker.inside(at)

    def tail(self, row: Row, known: tuple[int, int, int]) -> LogTail | None:
        """The end of the row's log, None where it is as it was; blocks while it is read."""
        return self._looker.tail(row, known)

    @cached_property
    def _looker(self) -> Looker:
        from tokentop.answers.look import Looker

        return Looker(now_ms, texts=self._settings.titles)

    # ------------------------------------------------------------ the history

    def history(self, ask: Ask) -> Listing | None:
        """The sessions that are asked for; blocks. None = a newer question came meanwhile."""
        archive = self._archive
        self._asks += 1
        number = self._asks
        archive.interrupt()
        self._questions.tell(_index)  # what has changed meanwhile is in the next answer
        with self._answering:
            return archive.answer(ask) if number == self._asks else None

    def entries(self, ids: Sequence[int]) -> tuple[Entry, ...]:
        """The entries of sessions of a Listing, in their order; blocks."""
        with self._reading:
            return self._archive.entries(ids)

    def below(self, root: int) -> tuple[Entry, ...]:
        """The sub-agents of a session; blocks."""
        with self._reading:
            return self._archive.below(root)

    def search_said(self, query: str, told: Callable[[Scan], bool]) -> Scan:
        """Search prompts and replies in the agents' own logs, where that is switched on; blocks for long."""
        from tokentop.nouns.history import Scan

        if not self._settings.search_prompts:
            return Scan(problem=SAID_OFF)
        return self._archive.search_said(query, told)

    def let_go(self) -> None:
        """Close what reads the store: who writes can then leave it in one file."""
        if "_archive" in self.__dict__:
            self._archive.interrupt()
            with self._answering, self._reading:
                self._archive.close()

    @cached_property
    def _archive(self) -> Archive:
        from tokentop.answers.archive import Archive

        return Archive(self._folder, local_zone(self._environ), now_ms)

    def footage(self) -> Footage | None:
        """What was recorded so far, on a connection of its own; None before there is a database."""
        from tokentop.answers.footage import Footage
        from tokentop.store.db import StoreError

        try:
            return Footage.open(self._folder, self._settings.recording_mb * 1_000_000)
        except StoreError:
            return None

    # ------------------------------------------------------------ a session

    def tell(self, agent: str, session_id: str) -> Timeline | None:
        """All turns of one session; blocks while its log is read. What was read of it is kept by the collector."""
        from tokentop.answers.chronicle import tell
        from tokentop.store import db

        def keep(session: Session, outline: Outline) -> None:
            self._questions.tell(lambda collector: collector.keep_outline(session, outline))

        with closing(db.open_reader(self._folder)) as connection:
            return tell(connection, agent, session_id, now_ms(), prices=self._prices, keep=keep)

    def bought(self, agent: str, session_id: str) -> Bought | None:
        """What a session's tokens bought, as `tokentop outcome` has last worked it out; blocks while the store is read."""
        from tokentop.answers.bought import bought_by
        from tokentop.store import db

        with closing(db.open_reader(self._folder)) as connection:
            return bought_by(connection, agent, session_id, self._settings.survive_days, now_ms())

    def transcript(self, session: Session) -> tuple[list[Said], str]:
        """What was said in a session; blocks while its log is read."""
        from tokentop.answers.transcript import transcript

        return transcript(session)

    def export(self, told: Timeline, form: str) -> str:
        """Write a timeline into the state directory; blocks. OSError."""
        from tokentop.answers.exporting import write_timeline

        bought = self.bought(told.session.agent, told.session.id)
        return str(write_timeline(self._folder, told, form, local_zone(self._environ), now_ms(), bought))

    # ------------------------------------------------------------ the bill

    def statement(self) -> Statement:
        """Limits, plans, budgets, the day's curve, providers and bills; blocks while the store is read."""
        found, sums = self._questions.ask(lambda collector: collector.statement())
        return self._bookkeeper.complete(found, sums)

    @cached_property
    def _bookkeeper(self) -> Bookkeeper:
        from tokentop.answers.bookkeeper import Bookkeeper

        zone = local_zone(self._environ)
        return Bookkeeper(self._folder, self._environ, self._settings, zone, lambda: self._prices)

    @cached_property
    def _prices(self) -> PriceTable:
        from tokentop.ledger import prices

        return prices(self._settings)
