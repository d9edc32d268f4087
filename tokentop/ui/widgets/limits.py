"""Plan limits as gauges: how full, when they reset, and how old the figure is."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop import text
from tokentop.nouns.money import Quota
from tokentop.ui.cells import HOT_PCT, STALE_MS
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.theme import Palette
from tokentop.ui.widgets.graph import frame_line

_NARROW = 38  # cells
_BAR = 5  # ... of a bar that tells something
_WIDE = 44  # ... from which a long name has room
_EIGHTHS = " ▏▎▍▌▋▊▉"


def gauge(pct: float, width: int) -> str:
    """A bar in eighths of a cell; a little is at least an eighth, full only at 100."""
    eighths = min(8 * width, max(1 if pct > 0 else 0, round(pct / 100 * 8 * width)))
    if pct < 100:
        eighths = min(eighths, 8 * width - 1)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width, "░")


def order(quotas: Sequence[Quota], now_ms: int) -> list[Quota]:
    """The most urgent first; windows that have been reset since come last."""
    return sorted(quotas, key=lambda q: (was_reset(q, now_ms), -q.used_pct, q.provider, q.window_minutes))


def was_reset(quota: Quota, now_ms: int) -> bool:
    """The reported figure is of a window that is over: how full the new one is, nobody has said."""
    return 0 < quota.resets_at_ms <= now_ms


_OWN = frozenset({"", "primary", "secondary", "five_hour", "seven_day"})  # limits of the account itself


def quota_names(quotas: Sequence[Quota]) -> list[str]:
    """`claude 5h`; with the account where there are several, and the limit where it is not the account's own."""
    accounts = {(quota.provider, quota.account) for quota in quotas}
    several = {provider for provider, _ in accounts if sum(one == provider for one, _ in accounts) > 1}
    return [_name(quota, quota.provider in several) for quota in quotas]


def _name(quota: Quota, several: bool) -> str:
    limit = "" if quota.limit_id in _OWN | {quota.provider} else quota.limit_id
    account = quota.account if several else ""
    parts = (quota.provider, account, text.window_name(quota.window_minutes), limit)
    return " ".join(safe(part, 20) for part in parts if part)


def tail(quota: Quota, now_ms: int, narrow: bool) -> str:
    """When it is full at this pace, else reset; how old the figure is if it is stale, only that if narrow."""
    age_ms = now_ms - quota.at_ms
    reset = f"→ {text.clock_near(quota.resets_at_ms, now_ms)}" if quota.resets_at_ms > 0 else ""
    if quota.full_at_ms > now_ms:
        reset = f"full {text.clock_near(quota.full_at_ms, now_ms)}"
    if age_ms <= STALE_MS:
        return reset
    age = f"{text.duration(age_ms / 1000)} old"
    return age if narrow else f"{reset} ({age})"


def quota_pieces(quota: Quota, now_ms: int, bar: int, name: str, end: str, palette: Palette) -> list[Piece]:
    """`claude 5h ███████▊░░ 78% → 16:40`, with the age where the figure is stale."""
    if was_reset(quota, now_ms):
        when = text.clock_near(quota.resets_at_ms, now_ms)
        note = f"? unknown since {when}"
        return [(name + " ", palette["dim"]), (note, palette["dim"])]
    stale = now_ms - quota.at_ms > STALE_MS
    heat = sum(quota.used_pct >= step for step in HOT_PCT)
    role = "dim" if stale else ("good", "warm", "hot")[heat]
    pieces = [(name + " ", palette["dim" if stale else "muted"])]
    if bar >= 4:
        pieces.append((gauge(quota.used_pct, bar), palette[role]))
    share = text.percent(quota.used_pct).rjust(5)
    pieces += [(share + " ", palette["dim" if stale else "strong"]), (end, palette["dim"])]
    return pieces


class Limits(Painted):
    """A framed list of gauges; on one line only the most urgent one."""

    DEFAULT_CSS = "Limits { width: 42; height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self._quotas: list[Quota] = []
        self._names: list[str] = []
        self._now_ms = 0

    def show(self, quotas: Sequence[Quota], now_ms: int) -> None:
        """New figures; `now_ms` decides what is stale."""
        ordered = order(quotas, now_ms)
        if ordered != self._quotas or now_ms // 60_000 != self._now_ms // 60_000:
            self._quotas, self._now_ms = ordered, now_ms
            self._names = quota_names(ordered)
            self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        height = self.size.height
        framed = height >= 3 and width >= 6
        inner = height - 2 if framed else height
        more = len(self._quotas) - inner
        if framed:
            caption = f"{text.plural(more, 'more limit')}" if more > 0 else ""
            border = frame_line(y, height, width, "limits", caption, palette)
            if border is not None:
                return border
        at, room = (y - 1, width - 4) if framed else (y, width - 1)
        body = self._body(at, room, palette)
        if not framed:
            return [(" ", palette.base), *body]
        used = sum(len(part) for part, _ in body)
        return [
            ("│ ", palette["frame"]), *body,
            (" " * max(0, room - used), palette.base), (" │", palette["frame"]),
        ]  # fmt: skip

    def _body(self, at: int, room: int, palette: Palette) -> list[Piece]:
        if at >= len(self._quotas):
            return [(fit("no limit reported yet", room), palette["faint"])] if at == 0 else []
        shown = self._quotas[: max(1, self.size.height - 2)]
        names = self._names[: len(shown)]
        name_width = min(14 if room < _WIDE else 19, max(map(len, names)))
        for narrow in (room < _NARROW, True):  # the age alone where both leave no room for a bar
            ends = [tail(quota, self._now_ms, narrow) for quota in shown]
            bar = min(14, max(0, room - name_width - 7 - max(map(len, ends))))
            if bar >= _BAR:
                break
        pieces = quota_pieces(shown[at], self._now_ms, bar, fit(names[at], name_width), ends[at], palette)
        last, style = pieces[-1]
        over = sum(len(part) for part, _ in pieces) - room
        return [*pieces[:-1], (fit(last, max(0, len(last) - over)), style)] if over > 0 else pieces
