"""The nouns of the black box: what was recorded of the live table, and what was spent in a span of it. Frozen; pure.

Times are UTC milliseconds, money is nano-dollars.
"""

from __future__ import annotations

from msgspec import Struct

from .picture import Snapshot

STEP_MS = 10_000  # between two frames
MINUTE_MS = 60_000  # between two frames that thinning leaves
KEY_MS = 600_000  # between two frames that need no other one

KEY, MINUTE, STEP = 0, 1, 2  # levels of a frame: each is the difference to a newer one of a lower level


class Moment(Struct, frozen=True, gc=False):
    """One recorded frame, without its content. Frames do not overlap."""

    at_ms: int  # names the frame
    until_ms: int  # nothing changed from `at_ms` until then
    covered_ms: int  # recording went on until then; what was between was thinned
    base_ms: int  # the frame that it is the difference to; its own time = none
    level: int
    burn_nusd_per_h: int

    @property
    def end_ms(self) -> int:
        """Until when it is the truth, or the nearest that was kept."""
        return max(self.until_ms, self.covered_ms)


class Frame(Struct, frozen=True, gc=False):
    """A frame to be written."""

    moment: Moment
    body: bytes


class Mark(Struct, frozen=True, gc=False):
    """Something that happened: to step to. `kind` = alert, came, went, action."""

    at_ms: int
    kind: str
    row_key: str
    agent: str
    text: str


class Text(Struct, frozen=True, gc=False):
    """A text that frames name by its number. `title` = it may quote a prompt, and goes where titles are not kept."""

    id: int
    text: str
    title: bool


class Taken(Struct, frozen=True):
    """What one look at the live table adds to the recording."""

    frame: Frame | None  # None = it was the same
    same_ms: int  # the frame that still held, 0 = none
    at_ms: int
    texts: tuple[Text, ...] = ()  # new ones
    used: frozenset[int] = frozenset()  # numbers of the texts that the frame names
    marks: tuple[Mark, ...] = ()


class Coverage(Struct, frozen=True):
    """How much is recorded, and what is no longer there."""

    from_ms: int = 0  # 0 = nothing
    until_ms: int = 0
    frames: int = 0
    size_bytes: int = 0
    limit_bytes: int = 0
    thinned_before_ms: int = 0  # one frame a minute before then; 0 = nowhere
    thinned_frames: int = 0
    dropped_before_ms: int = 0  # nothing before then, because of the limit; 0 = nothing was dropped
    dropped_frames: int = 0
    gaps: tuple[tuple[int, int], ...] = ()  # (from, until) in which nothing was recorded


class Scene(Struct, frozen=True):
    """The live table at one moment of the past. `snapshot` None = nothing is known of it, and `note` says why."""

    at_ms: int
    snapshot: Snapshot | None
    note: str = ""
    frame_ms: int = 0  # when it was recorded
    damaged: int = 0  # frames that could not be read on the way


class Share(Struct, frozen=True, gc=False):
    """What one session spent in a span, sub-agents filed under it included."""

    agent: str
    session_id: str
    title: str
    project: str
    model: str
    cost_nusd: int
    responses: int
    tokens: int
    unpriced_tokens: int
    estimated: bool
    unknown_calls: int


class Spent(Struct, frozen=True):
    """A span of time and who spent in it, the dearest first; all of them."""

    from_ms: int
    until_ms: int
    shares: tuple[Share, ...]

    @property
    def cost_nusd(self) -> int:
        return sum(share.cost_nusd for share in self.shares)


class Part(Struct, frozen=True, gc=False):
    """What an agent spent in a project."""

    agent: str
    project: str
    cost_nusd: int


class Jump(Struct, frozen=True):
    """A stretch in which the day's curve rose, and who spent in it, the dearest first."""

    from_ms: int
    until_ms: int
    rise_nusd: int  # how much more its last quarter hour spent than the one before it
    cost_nusd: int
    parts: tuple[Part, ...]
