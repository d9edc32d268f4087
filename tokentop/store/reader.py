"""Every question that a screen or a report asks of the database, by one name. Read-only; times are UTC milliseconds."""

from __future__ import annotations

from .calls import (
    events_of,
    events_of_one,
    recent_events,
    recent_tokens,
    same_calls,
    spent_cells,
    telemetry_alone,
)
from .known_sessions import find_session, project_folders, sessions, sessions_by_id
from .records import (
    KEPT,
    actions,
    cursors,
    data_version,
    files_read,
    health,
    projections,
    projections_since,
    quota_readings,
    quotas,
    remembered,
)
from .slots import Filter, Slot
from .usage import (
    average,
    cost_by_hour,
    cost_by_slot,
    cut_through,
    newest_ms,
    purged_as_slots,
    spent,
    spent_by,
    usage,
)
from .usage_of_calls import events_as_slots, logged_credits, sessions_as_slots, web_searches

__all__ = [
    "KEPT",
    "Filter",
    "Slot",
    "actions",
    "average",
    "cost_by_hour",
    "cost_by_slot",
    "cursors",
    "cut_through",
    "data_version",
    "events_as_slots",
    "events_of",
    "events_of_one",
    "files_read",
    "find_session",
    "health",
    "logged_credits",
    "newest_ms",
    "project_folders",
    "projections",
    "projections_since",
    "purged_as_slots",
    "quota_readings",
    "quotas",
    "recent_events",
    "recent_tokens",
    "remembered",
    "same_calls",
    "sessions",
    "sessions_as_slots",
    "sessions_by_id",
    "spent",
    "spent_by",
    "spent_cells",
    "telemetry_alone",
    "usage",
    "web_searches",
]
