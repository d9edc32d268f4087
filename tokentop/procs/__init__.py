"""The operating system's side of an agent: find its processes, tie them to sessions, stop them safely."""

from tokentop.procs.act import execute
from tokentop.procs.own import OwnUsage
from tokentop.procs.watch import ProcWatcher

__all__ = ["OwnUsage", "ProcWatcher", "execute"]
