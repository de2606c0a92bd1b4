"""What a connection that follows a session carries beside bytes; docs/protocol.md says when.

What a client sends of it (`Signal`, `Resize`, `Drawn`) is decoded by the core; unknown fields are left out.
"""

from __future__ import annotations

from .record import Event

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from .limits import Offset, OpId, Scope, Side


class Started(Event, kind="started"):
    """``session`` runs; ``pid`` is null when the program never did.

    Attributes:
        from_: where its output begins on this connection.
        live_from: where it ended when the connection began.
    """

    session: str
    pid: int | None
    tty: bool
    from_: int
    live_from: int


class ScreenBegins(Event, kind="screen"):
    """``bytes`` follow on stream 3 that make the screen that all output before ``offset`` made.

    ``sizes``: ``[offset, rows, columns]`` that the window had later.
    """

    offset: int
    rows: int
    columns: int
    bytes: int
    sizes: list[list[int]]


class Gap(Event, kind="gap"):
    """So many bytes of ``stream`` (1, 2) fell to the log's cap."""

    stream: int
    bytes: int


class Holder(Event, kind="holder"):
    """Who holds the input now; ``you``: this client."""

    label: str | None
    you: bool


class InputLost(Event, kind="lost-input"):
    """The input is this client's no more."""

    reason: str


class At(Event, kind="time"):
    """When the next piece of a log came, in seconds since the epoch."""

    at: float


class Signal(Event, kind="signal"):
    """From the client: as `SessionSignal`."""

    signal: int
    scope: Scope = "group"
    op_id: OpId | None = None


class Resize(Event, kind="resize"):
    """From the client: as `SessionResize`."""

    rows: Side
    columns: Side
    op_id: OpId | None = None


class Drawn(Event, kind="drawn"):
    """From the client: its terminal shows all output before ``offset``."""

    offset: Offset
