"""What the collector thread does, in short slices: read, commit, fold, look at processes, publish.

It starts no thread; `runtime` runs it in one, reports run it to its end. All that is in here belongs to that one
thread: others ask between two slices.
"""

from .collector import Collector

__all__ = ["Collector"]
