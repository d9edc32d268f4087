"""What a kind of problem means, and what can be done about it. Pure."""

from __future__ import annotations

ADVICE = {
    "unparsed": "lines that are not JSON were left out; a crash of the agent leaves such lines",
    "unreadable": "check the permissions of that file or folder",
    "oversize": "a line above 64 MiB with usage in it was left out",
    "bad-number": "token counts out of bounds were counted as 0",
    "missing-parent": "a fork's parent log is gone; its own calls are told apart by time and marked estimated",
    "compaction": "compactions were seen: their calls have no line of their own; versions that keep a running total"
    " give them back as hidden spend, older ones do not",
    "damaged": "the old database was kept beside the new one; delete it when you no longer need it",
    "failed-line": "a line on which the reader failed was left out; please report it",
    "not-utf8": "a log in UTF-16 is not read; agents write UTF-8",
    "bad-value": "a record that the database cannot hold was left out",
    "not-a-file": "something that is no regular file has the name of a log; it was left alone",
    "half": "a document is being written, or its agent died while writing it: it is read again when it changes",
    "outside": "a link leads out of the agent's folder; it was not followed",
}
