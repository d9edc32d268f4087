"""Reading against everything that happens to files: the store equals what was ever durably written.

Cases T1, T10-T13 of the fault catalogue.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tokentop.ingest import openlogs
from tokentop.ledger import Ledger, prices
from tokentop.settings.config import Settings
from tokentop.store.merging import event_id

from .faults import BASE_MS, audit, filler, line, outputs

TABLE = prices(Settings())


class Log:
    """One file of the model: its complete events (number, output) and a torn line at its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[tuple[int, int]] = []
        self.torn: tuple[bytes, tuple[int, int]] | None = None
        self.seen = False  # read to its end by the present reader, which holds it open

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


class TailMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="tail-"))
        self.project = self.root / "home" / ".claude" / "projects" / "-p"
        self.project.mkdir(parents=True)
        self.aside = self.root / "aside"
        self.aside.mkdir()
        self.logs: dict[str, Log] = {}
        self.number = 0
        self.bump_ns = time.time_ns()
        self.now_s = 0.0
        self.walked = False
        self.must: dict[int, int] = {}  # events that were in a readable file when it was read
        self.gone: list[tuple[int, int]] = []  # in a file that was taken away while the reader held it open
        self.ever: dict[int, set[int]] = {}  # every output that was ever written for an event
        self.ledger: Ledger | None = None

    @initialize()
    def begin(self) -> None:
        self._start()

    def _start(self) -> None:
        self.walked = False
        environ = {"HOME": str(self.root / "home")}
        with mock.patch.object(openlogs, "BLOCK_BYTES", 2048):
            self.ledger = Ledger(
                self.root / "state", environ, Settings(), now_ms=BASE_MS, live=True, table=TABLE
            )

    # ------------------------------------------------------------ files

    def _new(self, name: str) -> Log:
        log = self.logs[name] = Log(self.project / name)
        log.path.touch()
        return log

    def _event(self, session: str) -> tuple[bytes, tuple[int, int]]:
        self.number += 1
        event = (self.number, 5)
        self.ever[event_id("claude", f"msg_{self.number:06d}")] = {5}
        return line(self.number, session=session, output=5), event

    def _finish(self, log: Log) -> None:
        """Whoever appends completes the torn line first."""
        if log.torn is not None:
            rest, event = log.torn
            log.append(rest)
            log.events.append(event)
            log.torn = None

    @rule(
        name=st.sampled_from(["a.jsonl", "b.jsonl", "c.jsonl"]),
        count=st.integers(1, 12),
        junk=st.integers(0, 3),
    )
    def append(self, name: str, count: int, junk: int) -> None:
        log = self.logs.get(name) or self._new(name)
        self._finish(log)
        data = b""
        for index in range(count):
            event_line, event = self._event(name[0])
            data += event_line + filler(junk * 1500, index) * (junk > 0)
            log.events.append(event)
        log.append(data)

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), cut=st.integers(1, 200))
    def append_partial(self, data: st.DataObject, cut: int) -> None:
        log = self.logs[data.draw(st.sampled_from(sorted(self.logs)))]
        self._finish(log)
        event_line, event = self._event(log.path.name[0])
        log.append(event_line[:cut])
        log.torn = (event_line[cut:], event)

    @precondition(lambda self: any(log.torn for log in self.logs.values()))
    @rule()
    def complete(self) -> None:
        for log in self.logs.values():
            self._finish(log)

    @precondition(lambda self: any(log.events for log in self.logs.values()))
    @rule(data=st.data(), more=st.integers(1, 50))
    def stream_again(self, data: st.DataObject, more: int) -> None:
        """The same response once more, with a higher output."""
        log = self.logs[data.draw(st.sampled_from(sorted(n for n, log in self.logs.items() if log.events)))]
        self._finish(log)
        number, output = data.draw(st.sampled_from(log.events))
        log.append(line(number, session=log.path.name[0], output=output + more))
        log.events.append((number, output + more))
        self.ever[event_id("claude", f"msg_{number:06d}")].add(output + more)

    @precondition(lambda self: self.logs)
    @rule(data=st.data())
    def rotate_rename(self, data: st.DataObject) -> None:
        """The log is moved away; what the reader holds open is still read to its end."""
        log = self._take(data)
        log.path.rename(self.aside / f"{log.path.name}.{self.number}.{time.monotonic_ns()}")

    @precondition(lambda self: self.logs)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self._take(data).path.unlink()

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), count=st.integers(1, 12))
    def recreate(self, data: st.DataObject, count: int) -> None:
        """Deleted and made anew at once: the file system gives the same inode again if it is free."""
        log = self._take(data)
        log.path.unlink()
        self._grow(self._new(log.path.name), count)

    def _grow(self, log: Log, count: int) -> None:
        for _ in range(count):
            event_line, event = self._event(log.path.name[0])
            log.append(event_line)
            log.events.append(event)

    def _take(self, data: st.DataObject) -> Log:
        log = self.logs.pop(data.draw(st.sampled_from(sorted(self.logs))))
        if log.seen:
            self.gone += log.events
        return log

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), regrow=st.integers(0, 40))
    def copytruncate(self, data: st.DataObject, regrow: int) -> None:
        """Cut to nothing in place, then grown again, perhaps past where the reader stood."""
        log = self.logs[data.draw(st.sampled_from(sorted(self.logs)))]
        shutil.copy(log.path, self.aside / f"copy.{time.monotonic_ns()}")
        os.truncate(log.path, 0)
        log.events, log.torn = [], None
        self._grow(log, regrow)
        self._touch(log.path)

    @precondition(lambda self: self.logs)
    @rule(data=st.data(), keep=st.integers(0, 3), count=st.integers(0, 9))
    def replace_atomic(self, data: st.DataObject, keep: int, count: int) -> None:
        """Written beside and renamed over: a rewrite that keeps the first events and adds others."""
        old = self._take(data)
        new = Log(old.path)
        temporary = old.path.with_suffix(".tmp")
        new.path = temporary
        temporary.touch()
        for number, output in old.events[:keep]:
            new.append(line(number, session=old.path.name[0], output=output))
            new.events.append((number, output))
        self._grow_as(new, old.path.name[0], count)
        self._touch(temporary)
        temporary.rename(old.path)
        new.path = old.path
        self.logs[old.path.name] = new

    def _grow_as(self, log: Log, session: str, count: int) -> None:
        for _ in range(count):
            event_line, event = self._event(session)
            log.append(event_line)
            log.events.append(event)

    def _touch(self, path: Path) -> None:
        """A rewrite gets a time of its own: two within one tick of the kernel's clock look alike."""
        self.bump_ns += 10_000_000
        os.utime(path, ns=(self.bump_ns, self.bump_ns))

    @precondition(lambda self: self.logs)
    @rule(data=st.data())
    def hardlink(self, data: st.DataObject) -> None:
        log = self.logs[data.draw(st.sampled_from(sorted(self.logs)))]
        (self.project / f"link-{time.monotonic_ns()}.jsonl").hardlink_to(log.path)

    # ------------------------------------------------------------ the reader

    @rule(slice_bytes=st.sampled_from([1, 3000, 1 << 20]))
    def read(self, slice_bytes: int) -> None:
        """Poll, walk where that is due, commit all that is new."""
        self._look()
        while self._step(slice_bytes):
            pass
        self._require(self.gone)
        self.gone.clear()
        for log in self.logs.values():
            self._require(log.events)
            log.seen = True

    @rule(slice_bytes=st.sampled_from([1, 3000]), steps=st.integers(0, 3), torn=st.booleans())
    def kill(self, slice_bytes: int, steps: int, torn: bool) -> None:
        """The reader dies at any moment: after some commits, perhaps with a batch read and not committed."""
        self._look()
        for _ in range(steps):
            self._step(slice_bytes)
        assert self.ledger is not None
        if torn:
            self.ledger.follower.step(self.now_s, slice_bytes)
        self.restart()

    @rule()
    def restart(self) -> None:
        assert self.ledger is not None
        self.ledger.close()
        self.gone.clear()
        for log in self.logs.values():
            log.seen = False
        self._start()

    def _look(self) -> None:
        assert self.ledger is not None
        self.now_s += 2.0
        if self.ledger.follower.poll(self.now_s, True) or not self.walked:
            self.walked = True
            self.ledger.follower.walk(self.now_s, time.time_ns())

    def _step(self, slice_bytes: int) -> bool:
        assert self.ledger is not None
        batch = self.ledger.follower.step(self.now_s, slice_bytes)
        if batch is None:
            return False
        self.ledger.writer.commit(batch.facts, batch.cursors, forget=batch.forget)
        return True

    def _require(self, events: list[tuple[int, int]]) -> None:
        for number, output in events:
            identity = event_id("claude", f"msg_{number:06d}")
            self.must[identity] = max(self.must.get(identity, 0), output)

    @invariant()
    def sums_agree_and_nothing_is_invented(self) -> None:
        if self.ledger is None:
            return
        audit(self.ledger.db)
        for identity, output in outputs(self.ledger.db).items():
            assert output in self.ever[identity]

    @precondition(lambda self: self.ledger is not None)
    @rule()
    def everything_written_is_there(self) -> None:
        self.read(1 << 20)
        assert self.ledger is not None
        stored = outputs(self.ledger.db)
        missing = {i: o for i, o in self.must.items() if stored.get(i, -1) < o}
        assert not missing, f"{len(missing)} of {len(self.must)} events are missing or too small"

    def teardown(self) -> None:
        if self.ledger is not None:
            self.everything_written_is_there()
            self.ledger.close()
        shutil.rmtree(self.root, ignore_errors=True)


TestTailing = TailMachine.TestCase
TestTailing.settings = settings(
    max_examples=60, stateful_step_count=25, suppress_health_check=list(HealthCheck)
)
