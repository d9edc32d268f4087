"""`tokentop sessions` and `tokentop session`: what was asked for, found, and printed in the form that was asked for."""

from __future__ import annotations

import argparse
import os
import sys

from tokentop.clock import now_ms
from tokentop.errors import NothingMatched, UsageError
from tokentop.ledger import prices
from tokentop.nouns.sessions import Session
from tokentop.settings.zone import local_zone

from . import access
from .out import iso, print_json

Arguments = argparse.Namespace


def listed(arguments: Arguments) -> int:
    """`tokentop sessions`."""
    from tokentop.nouns.history import Ask
    from tokentop.store import searching

    from . import sessions

    query = " ".join(arguments.query)
    limit = arguments.limit
    ask = Ask(query, arguments.sort or "", flat=True, limit=limit if arguments.said else limit + 1)
    with access.opened(quiet=arguments.json) as store:
        sessions.bring_up_to_date(store, quiet=arguments.json)
        zone = local_zone(os.environ)
        if arguments.said:
            answer = sessions.said(store, ask, zone, now_ms(), quiet=arguments.json)
        else:
            answer = searching.answer(store.db, ask, zone, now_ms())
        documents, text = sessions.listed(store.db, answer.order[:limit], zone, now_ms())
    if answer.problem:
        raise UsageError(answer.problem)
    left = len(answer.order) > limit
    if arguments.json:
        head = {"schema": "tokentop.sessions/1", "generated_at": iso(now_ms())}
        print_json({**head, "rows": documents, "more": left or answer.cut})
    elif documents:
        print("\n".join([text, *_more(limit, left=left, cut=answer.cut, said=arguments.said)]))
    if not documents:
        raise NothingMatched(
            f"no session matches {query!r}{_hint(query)}" if query.split() else "no sessions yet"
        )
    return 0


def _more(limit: int, *, left: bool, cut: bool, said: bool) -> list[str]:
    """What stands below a list that is not whole."""
    if left or (cut and said):
        return ["", f"the first {limit:,}; further ones with --limit {2 * limit}"]
    return ["", "the likest; all of them with --sort last"] if cut else []


def _hint(query: str) -> str:
    """Where what was asked for comes from, in case it was not read yet."""
    if "outcome:" in query:
        return "; `tokentop outcome` works outcomes out"
    return "; `tokentop sync` reads tools and files" if "tool:" in query or "file:" in query else ""


def told(arguments: Arguments) -> int:
    """`tokentop session`."""
    from tokentop.store import reader

    with access.opened(quiet=arguments.json) as store:
        found = reader.find_session(store.db, arguments.id)
        own = [entry for entry in found if "/" not in entry[0].id] or found
        if not own:
            raise NothingMatched(f"no session begins with {arguments.id!r}; see: tokentop sessions")
        if len(own) > 1:
            names = ", ".join(session.id for session, _ in own[:5])
            raise UsageError(f"{arguments.id!r} is not unique: {names}")
        _tell(arguments, store, own[0][0])
    return 0


def _tell(arguments: Arguments, store: access.Access, found: Session) -> None:
    """One session in the form that was asked for."""
    from tokentop.answers.bought import bought_by
    from tokentop.answers.chronicle import tell
    from tokentop.export.brought import one_line

    from . import session

    zone = local_zone(os.environ)
    if arguments.transcript:
        print(session.transcript_text(found, zone))
        return
    told = tell(
        store.db, found.agent, found.id, now_ms(), prices=prices(store.settings), keep=store.keep_outline
    )
    if told is None:
        raise NothingMatched(f"{found.id} is gone from the store")
    bought = bought_by(store.db, found.agent, found.id, store.settings.survive_days, now_ms())
    outcome = one_line(bought) if bought is not None else ""
    if arguments.json:
        print_json(
            {
                "schema": "tokentop.session/1",
                "generated_at": iso(now_ms()),
                **session.as_document(store.db, told, bought),
            }
        )
    elif arguments.md:
        from tokentop.export.markdown import markdown

        sys.stdout.write(markdown(told, zone, outcome))
    elif arguments.html:
        from tokentop.export.page import page

        print(f"written to {session.write_page(arguments.html, page(told, zone, outcome))}")
    else:
        print(session.as_text(told, zone, outcome))
