"""The tables. Integer keys, a hash of the natural key as event id, rollups beside the events.

Each entry of `MIGRATIONS` is one transaction and brings `user_version` to its place in the list.
"""

from __future__ import annotations

from .hours import EPOCH, HOUR_MS, hour

_EVENT = """took_ms INTEGER NOT NULL,
  model INTEGER NOT NULL, tier INTEGER NOT NULL, flags INTEGER NOT NULL,
  input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL,
  cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL, cost_nusd INTEGER"""

_V1 = f"""
CREATE TABLE model (id INTEGER PRIMARY KEY, provider TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (provider, name));
CREATE TABLE project (id INTEGER PRIMARY KEY, agent TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (agent, name));
CREATE TABLE tier (id INTEGER PRIMARY KEY, tier TEXT NOT NULL, geo TEXT NOT NULL, UNIQUE (tier, geo));

CREATE TABLE session (
  id INTEGER PRIMARY KEY, agent TEXT NOT NULL, sid TEXT NOT NULL,
  parent_sid TEXT NOT NULL, root_sid TEXT NOT NULL, role TEXT NOT NULL, project INTEGER NOT NULL,
  cwd TEXT NOT NULL, branch TEXT NOT NULL, title TEXT NOT NULL, title_rank INTEGER NOT NULL, model TEXT NOT NULL,
  first_ms INTEGER NOT NULL, version TEXT NOT NULL, surface TEXT NOT NULL, log_path TEXT NOT NULL,
  forked_at_ms INTEGER NOT NULL, tool_use_id TEXT NOT NULL,
  context_used INTEGER, context_window INTEGER NOT NULL DEFAULT 0, context_at_ms INTEGER NOT NULL DEFAULT 0,
  last_ms INTEGER NOT NULL DEFAULT 0, responses INTEGER NOT NULL DEFAULT 0,
  input INTEGER NOT NULL DEFAULT 0, cache_read INTEGER NOT NULL DEFAULT 0,
  cache_write_5m INTEGER NOT NULL DEFAULT 0, cache_write_1h INTEGER NOT NULL DEFAULT 0,
  output INTEGER NOT NULL DEFAULT 0, reasoning INTEGER NOT NULL DEFAULT 0,
  cost_nusd INTEGER NOT NULL DEFAULT 0, unpriced_tokens INTEGER NOT NULL DEFAULT 0,
  estimated INTEGER NOT NULL DEFAULT 0,
  UNIQUE (agent, sid)
);
CREATE INDEX session_last ON session (last_ms);
CREATE INDEX session_cost ON session (cost_nusd);
CREATE INDEX session_parent ON session (parent_sid) WHERE parent_sid != '';

CREATE TABLE event (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, at_ms INTEGER NOT NULL, {_EVENT});
CREATE INDEX event_session ON event (session);
CREATE TABLE event_extra (id INTEGER PRIMARY KEY, logged_nusd INTEGER, web_searches INTEGER NOT NULL);

CREATE TABLE rollup (
  slot INTEGER NOT NULL, project INTEGER NOT NULL, model INTEGER NOT NULL, flags INTEGER NOT NULL,
  responses INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
  cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL,
  reasoning INTEGER NOT NULL, cost_nusd INTEGER NOT NULL, unpriced_tokens INTEGER NOT NULL,
  PRIMARY KEY (slot, project, model, flags)
) WITHOUT ROWID;

CREATE TABLE running_total (
  session INTEGER NOT NULL, n INTEGER NOT NULL, model TEXT NOT NULL, at_ms INTEGER NOT NULL,
  started_ms INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
  cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL,
  reasoning INTEGER NOT NULL, cost_nusd INTEGER NOT NULL, PRIMARY KEY (session, n, model)
) WITHOUT ROWID;
CREATE TABLE unsettled (session INTEGER PRIMARY KEY);
CREATE TABLE spawn (tool_use_id TEXT PRIMARY KEY, sid TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE cursor (
  path TEXT PRIMARY KEY, agent TEXT NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL, head_len INTEGER NOT NULL,
  head_hash INTEGER NOT NULL, offset INTEGER NOT NULL, tail_hash INTEGER NOT NULL, size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL, agent_version INTEGER NOT NULL, state BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE health (
  source TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (source, kind, detail)
) WITHOUT ROWID;
CREATE TABLE quota (
  provider TEXT NOT NULL, account TEXT NOT NULL, limit_id TEXT NOT NULL, window_minutes INTEGER NOT NULL,
  used_pct REAL NOT NULL, resets_at_ms INTEGER NOT NULL, source TEXT NOT NULL, at_ms INTEGER NOT NULL,
  plan TEXT NOT NULL, PRIMARY KEY (provider, account, limit_id, window_minutes)
) WITHOUT ROWID;
CREATE TABLE projection (
  at_ms INTEGER PRIMARY KEY, day TEXT NOT NULL, today_nusd INTEGER NOT NULL, projected_nusd INTEGER NOT NULL,
  low_nusd INTEGER NOT NULL, high_nusd INTEGER NOT NULL, method TEXT NOT NULL
);
CREATE INDEX projection_day ON projection (day);
CREATE TABLE action (
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, action TEXT NOT NULL, reason TEXT NOT NULL, agent TEXT NOT NULL,
  sid TEXT NOT NULL, pid INTEGER NOT NULL, result TEXT NOT NULL, receipt TEXT NOT NULL
);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_V2 = """
ALTER TABLE session ADD COLUMN unknown_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup ADD COLUMN unknown_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup ADD COLUMN logged_nusd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE running_total ADD COLUMN provider TEXT NOT NULL DEFAULT '';
ALTER TABLE event_extra ADD COLUMN credits_milli INTEGER;
CREATE INDEX event_credits ON event_extra (id) WHERE credits_milli IS NOT NULL;
"""

_V3 = """
CREATE TABLE quota_reading (
  provider TEXT NOT NULL, account TEXT NOT NULL, limit_id TEXT NOT NULL, window_minutes INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, used_pct REAL NOT NULL,
  PRIMARY KEY (provider, account, limit_id, window_minutes, at_ms)
) WITHOUT ROWID;
CREATE TABLE bill (
  source TEXT NOT NULL, account TEXT NOT NULL, day TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL,
  key TEXT NOT NULL, project TEXT NOT NULL, tier TEXT NOT NULL, product TEXT NOT NULL, item TEXT NOT NULL,
  unit TEXT NOT NULL, currency TEXT NOT NULL, provider TEXT NOT NULL, input INTEGER, cache_read INTEGER,
  cache_write_5m INTEGER, cache_write_1h INTEGER, output INTEGER, reasoning INTEGER, requests INTEGER,
  quantity INTEGER, amount_nusd INTEGER, list_nusd INTEGER, amount_text TEXT NOT NULL,
  PRIMARY KEY (source, account, day, kind, model, key, project, tier, product, item, unit, currency)
) WITHOUT ROWID;
CREATE TABLE bill_day (
  source TEXT NOT NULL, account TEXT NOT NULL, day TEXT NOT NULL, provider TEXT NOT NULL, fetched_ms INTEGER NOT NULL,
  as_of_ms INTEGER NOT NULL, final INTEGER NOT NULL, PRIMARY KEY (source, account, day)
) WITHOUT ROWID;
CREATE TABLE bill_revision (
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, source TEXT NOT NULL, account TEXT NOT NULL, day TEXT NOT NULL,
  line TEXT NOT NULL, old_nusd INTEGER, new_nusd INTEGER
);
CREATE INDEX bill_revision_day ON bill_revision (day);
CREATE TABLE balance (
  source TEXT NOT NULL, account TEXT NOT NULL, name TEXT NOT NULL, period TEXT NOT NULL, currency TEXT NOT NULL,
  provider TEXT NOT NULL, remaining_nano INTEGER, used_nano INTEGER, limit_nano INTEGER, resets_at_ms INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, stale INTEGER NOT NULL, PRIMARY KEY (source, account, name, period, currency)
) WITHOUT ROWID;
CREATE TABLE provider_name (
  source TEXT NOT NULL, account TEXT NOT NULL, provider TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  name TEXT NOT NULL, PRIMARY KEY (source, account, kind, id)
) WITHOUT ROWID;
CREATE TABLE provider_state (
  provider TEXT NOT NULL, source TEXT NOT NULL, account TEXT NOT NULL, state TEXT NOT NULL, at_ms INTEGER NOT NULL,
  ok_ms INTEGER NOT NULL, blocked_until_ms INTEGER NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (provider, source, account)
) WITHOUT ROWID;
ALTER TABLE projection ADD COLUMN low_half_nusd INTEGER;
ALTER TABLE projection ADD COLUMN high_half_nusd INTEGER;
ALTER TABLE projection ADD COLUMN month_nusd INTEGER;
"""

FOUND = "CREATE VIRTUAL TABLE found USING fts5 (title, project, branch, tools, files, names, tokenize='unicode61')"
_SUMS = """responses INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL,
  cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL,
  reasoning INTEGER NOT NULL, cost_nusd INTEGER NOT NULL, unpriced_tokens INTEGER NOT NULL,
  unknown_calls INTEGER NOT NULL, logged_nusd INTEGER NOT NULL"""


def _noted(table: str, key: str, into: str, column: str) -> str:
    """Triggers that note in another table which rows of one are new, changed or gone; what is noted stays as it is."""
    return "".join(
        f"CREATE TRIGGER {table}_{when} AFTER {what} ON {table}"
        f" WHEN NOT EXISTS (SELECT 1 FROM {into} WHERE {column} = {row}.{key})\n"
        f"  BEGIN INSERT INTO {into} VALUES ({row}.{key}); END;\n"
        for when, what, row in (
            ("new", "INSERT", "new"),
            ("changed", "UPDATE", "new"),
            ("gone", "DELETE", "old"),
        )
    )


def _moved(table: str, roots: str) -> str:
    """Triggers that note in `bought_stale` whose sums a new, changed or deleted row of a table moves."""
    return "".join(
        f"CREATE TRIGGER {table}_bought_{what.lower()} AFTER {what} ON {table}"
        f" BEGIN INSERT OR IGNORE INTO bought_stale {roots.format(row=row)}; END;\n"
        for what, row in (("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old"))
    )


def _nobodys(table: str, what: str, row: str) -> str:
    """A trigger that keeps `git_nobodys`: commits that count and that no session of their repository made."""
    this = f"repo = {row}.repo AND hash = {row}.hash"
    return (
        f"CREATE TRIGGER {table}_nobodys_{what.lower()} AFTER {what} ON {table} BEGIN\n"
        f"  DELETE FROM git_nobodys WHERE {this};\n"
        f"  INSERT INTO git_nobodys SELECT repo, hash, at_ms FROM git_change WHERE {this} AND counts\n"
        f"    AND NOT EXISTS (SELECT 1 FROM git_credit WHERE {this});\nEND;\n"
    )


_V4 = f"""
CREATE TABLE outline (
  session INTEGER PRIMARY KEY, log_size INTEGER NOT NULL, log_mtime_ns INTEGER NOT NULL, version INTEGER NOT NULL,
  read_ms INTEGER NOT NULL, tools TEXT NOT NULL, files TEXT NOT NULL, deeds BLOB NOT NULL,
  note TEXT NOT NULL DEFAULT ''
);

CREATE TABLE line (
  session INTEGER PRIMARY KEY, root INTEGER NOT NULL, agent TEXT NOT NULL, project TEXT NOT NULL, model TEXT NOT NULL,
  title TEXT NOT NULL, branch TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
  responses INTEGER NOT NULL, tokens INTEGER NOT NULL, cost_nusd INTEGER NOT NULL, unpriced_tokens INTEGER NOT NULL,
  unknown_calls INTEGER NOT NULL, estimated INTEGER NOT NULL, below INTEGER NOT NULL
);
CREATE INDEX line_last ON line
  (last_ms, session, root, tokens, cost_nusd, unpriced_tokens, unknown_calls, estimated)
  WHERE root = session;
CREATE INDEX line_cost ON line (cost_nusd, session) WHERE root = session;
CREATE INDEX line_tokens ON line (tokens, session) WHERE root = session;
CREATE INDEX line_responses ON line (responses, session) WHERE root = session;
CREATE INDEX line_project ON line
  (project, last_ms DESC, session DESC, root, tokens, cost_nusd, unpriced_tokens, unknown_calls, estimated)
  WHERE root = session;
CREATE INDEX line_agent ON line
  (agent, last_ms DESC, session DESC, root, tokens, cost_nusd, unpriced_tokens, unknown_calls, estimated)
  WHERE root = session;
CREATE INDEX line_model ON line
  (model, last_ms DESC, session DESC, root, tokens, cost_nusd, unpriced_tokens, unknown_calls, estimated)
  WHERE root = session;
CREATE INDEX line_below ON line (root) WHERE root != session;
{FOUND};
CREATE TABLE near (key TEXT NOT NULL, term TEXT NOT NULL, PRIMARY KEY (key, term)) WITHOUT ROWID;
CREATE TABLE changed (session INTEGER PRIMARY KEY);
CREATE TABLE purged (
  session INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, calls INTEGER NOT NULL, forgotten INTEGER NOT NULL
);
CREATE TABLE purged_call (id INTEGER PRIMARY KEY);
CREATE TABLE imported_sum (
  session INTEGER PRIMARY KEY, slot INTEGER NOT NULL, project INTEGER NOT NULL, model INTEGER NOT NULL,
  flags INTEGER NOT NULL, sums TEXT NOT NULL
);
CREATE TABLE purged_rollup (
  slot INTEGER NOT NULL, project INTEGER NOT NULL, model INTEGER NOT NULL, flags INTEGER NOT NULL,
  {_SUMS}, PRIMARY KEY (slot, project, model, flags)
) WITHOUT ROWID;
{_noted("session", "id", "changed", "session")}
{_noted("outline", "session", "changed", "session")}
INSERT INTO changed SELECT id FROM session;
CREATE TABLE frame (
  at_ms INTEGER PRIMARY KEY, until_ms INTEGER NOT NULL, covered_ms INTEGER NOT NULL, base_ms INTEGER NOT NULL,
  level INTEGER NOT NULL, burn_nusd_per_h INTEGER NOT NULL, size INTEGER NOT NULL
);
CREATE TABLE frame_body (at_ms INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE frame_text (id INTEGER PRIMARY KEY, title INTEGER NOT NULL, used_ms INTEGER NOT NULL, text TEXT NOT NULL);
CREATE TABLE frame_mark (
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, row_key TEXT NOT NULL, agent TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX frame_mark_at ON frame_mark (at_ms);
DROP INDEX session_last;
CREATE INDEX session_span ON session (last_ms, first_ms);
CREATE TABLE telemetry (id INTEGER PRIMARY KEY, session INTEGER NOT NULL, request INTEGER NOT NULL);
CREATE INDEX telemetry_session ON telemetry (session);
CREATE TABLE daily (
  day INTEGER NOT NULL, project INTEGER NOT NULL, model INTEGER NOT NULL, flags INTEGER NOT NULL,
  {_SUMS}, PRIMARY KEY (day, project, model, flags)
) WITHOUT ROWID;
CREATE TABLE daily_stale (day INTEGER PRIMARY KEY);
{_noted("rollup", "slot / 96", "daily_stale", "day")}
INSERT INTO daily_stale SELECT DISTINCT slot / 96 FROM rollup;
CREATE TABLE daily_agent (
  day INTEGER NOT NULL, agent TEXT NOT NULL, flags INTEGER NOT NULL,
  {_SUMS}, PRIMARY KEY (day, agent, flags)
) WITHOUT ROWID;
CREATE TABLE daily_project (
  day INTEGER NOT NULL, project TEXT NOT NULL, flags INTEGER NOT NULL,
  {_SUMS}, PRIMARY KEY (day, project, flags)
) WITHOUT ROWID;
CREATE TABLE daily_block (
  block INTEGER NOT NULL, project INTEGER NOT NULL, model INTEGER NOT NULL, flags INTEGER NOT NULL,
  {_SUMS}, PRIMARY KEY (block, project, model, flags)
) WITHOUT ROWID;
CREATE TABLE slot_cost (slot INTEGER PRIMARY KEY, cost_nusd INTEGER NOT NULL);
INSERT INTO slot_cost SELECT slot, sum(cost_nusd) FROM rollup GROUP BY slot;
CREATE TRIGGER slot_cost_new AFTER INSERT ON rollup BEGIN
  INSERT INTO slot_cost VALUES (new.slot, new.cost_nusd)
    ON CONFLICT (slot) DO UPDATE SET cost_nusd = cost_nusd + excluded.cost_nusd;
END;
CREATE TRIGGER slot_cost_changed AFTER UPDATE OF cost_nusd ON rollup WHEN new.cost_nusd != old.cost_nusd BEGIN
  UPDATE slot_cost SET cost_nusd = cost_nusd + new.cost_nusd - old.cost_nusd WHERE slot = new.slot;
END;
CREATE TRIGGER slot_cost_gone AFTER DELETE ON rollup BEGIN
  UPDATE slot_cost SET cost_nusd = cost_nusd - old.cost_nusd WHERE slot = old.slot;
  DELETE FROM slot_cost WHERE slot = old.slot AND NOT EXISTS (SELECT 1 FROM rollup WHERE slot = old.slot);
END;
DROP INDEX session_cost;
ALTER TABLE event RENAME TO event_by_id;
CREATE TABLE event (
  id INTEGER NOT NULL, session INTEGER NOT NULL, hour INTEGER NOT NULL, in_hour_ms INTEGER NOT NULL, {_EVENT},
  at_ms INTEGER GENERATED ALWAYS AS ((hour + {EPOCH}) * {HOUR_MS} + in_hour_ms) VIRTUAL,
  PRIMARY KEY (session, hour, id)
) WITHOUT ROWID;
INSERT INTO event SELECT id, session, {hour("at_ms")} AS hour, at_ms % {HOUR_MS}, took_ms, model, tier, flags, input,
  cache_read, cache_write_5m, cache_write_1h, output, reasoning, cost_nusd
  FROM event_by_id INDEXED BY event_session ORDER BY session, hour, id;
DROP TABLE event_by_id;
CREATE UNIQUE INDEX event_id ON event (id);
CREATE TABLE git_repo (
  id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE, since_ms INTEGER NOT NULL, read_ms INTEGER NOT NULL,
  notes TEXT NOT NULL
);
CREATE TABLE git_commit (
  repo INTEGER NOT NULL, hash TEXT NOT NULL, commit_ms INTEGER NOT NULL, document BLOB NOT NULL, made BLOB,
  PRIMARY KEY (repo, hash)
) WITHOUT ROWID;
CREATE TABLE git_blame (
  repo INTEGER NOT NULL, path BLOB NOT NULL, blob TEXT NOT NULL, since_ms INTEGER NOT NULL, lines BLOB NOT NULL,
  PRIMARY KEY (repo, path)
) WITHOUT ROWID;
CREATE TABLE git_change (
  repo INTEGER NOT NULL, hash TEXT NOT NULL, at_ms INTEGER NOT NULL, state TEXT NOT NULL, counts INTEGER NOT NULL,
  added INTEGER, removed INTEGER, files BLOB NOT NULL, PRIMARY KEY (repo, hash)
) WITHOUT ROWID;
CREATE TABLE git_survival (
  repo INTEGER NOT NULL, hash TEXT NOT NULL, days INTEGER NOT NULL, tree TEXT NOT NULL, settled INTEGER NOT NULL,
  survived INTEGER NOT NULL, PRIMARY KEY (repo, hash, days)
) WITHOUT ROWID;
CREATE TABLE git_credit (
  repo INTEGER NOT NULL, hash TEXT NOT NULL, session INTEGER NOT NULL, share REAL NOT NULL, sure INTEGER NOT NULL,
  why TEXT NOT NULL, PRIMARY KEY (repo, hash, session)
) WITHOUT ROWID;
CREATE INDEX git_credit_session ON git_credit (session);
CREATE TABLE git_nobodys (
  repo INTEGER NOT NULL, hash TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (repo, hash)
) WITHOUT ROWID;
CREATE INDEX git_nobodys_at ON git_nobodys (at_ms);
{_nobodys("git_change", "INSERT", "new")}
{_nobodys("git_change", "UPDATE", "new")}
{_nobodys("git_change", "DELETE", "old")}
{_nobodys("git_credit", "INSERT", "new")}
{_nobodys("git_credit", "DELETE", "old")}
CREATE TABLE work (
  session INTEGER PRIMARY KEY, last_ms INTEGER NOT NULL, outline_ms INTEGER NOT NULL, place INTEGER NOT NULL,
  files INTEGER, document BLOB NOT NULL
);
CREATE INDEX work_files ON work (files, place, last_ms, outline_ms);
CREATE INDEX git_credit_hash ON git_credit (hash);
CREATE TABLE bought (
  root INTEGER PRIMARY KEY, days INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
  worked INTEGER NOT NULL, model TEXT NOT NULL, pulls TEXT NOT NULL, files BLOB NOT NULL, sums BLOB NOT NULL,
  sid TEXT NOT NULL
);
CREATE TABLE bought_done (root INTEGER PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE bought_stale (root INTEGER PRIMARY KEY);
{_moved("work", "SELECT coalesce((SELECT root FROM line WHERE session = {row}.session), {row}.session)")}
{_moved("git_credit", "SELECT {row}.session UNION SELECT session FROM git_credit WHERE hash = {row}.hash")}
{_moved("git_change", "SELECT session FROM git_credit WHERE hash = {row}.hash")}
{_moved("git_survival", "SELECT session FROM git_credit WHERE hash = {row}.hash")}
CREATE TRIGGER work_gone AFTER DELETE ON session BEGIN
  DELETE FROM work WHERE session = old.id; DELETE FROM git_credit WHERE session = old.id;
END;
"""

MIGRATIONS: tuple[str, ...] = (_V1, _V2, _V3, _V4)
VERSION = len(MIGRATIONS)
