"""The only room that starts threads; the sources that a screen draws.

One collector thread publishes snapshots; actions run in the screen's workers. Only queues and frozen values pass
between them.
"""

from .demo import DemoRuntime
from .live import Runtime

__all__ = ["DemoRuntime", "Runtime"]
