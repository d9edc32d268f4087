"""What a command says when it cannot go on: one line that names what to do."""

from __future__ import annotations


class UsageError(Exception):
    """Wrong use; the text says what would be right. Exit status 2."""


class Failure(Exception):
    """A command could not do its work. Exit status 1."""


class NothingMatched(Exception):
    """What was asked for is not there. Exit status 3."""
