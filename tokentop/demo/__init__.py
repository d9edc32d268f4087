"""The invented fleet of `tokentop demo`: the real engine on facts that nobody wrote."""

from tokentop.demo.source import DemoSource

__all__ = ["DemoSource"]
