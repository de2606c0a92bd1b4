"""The rows of the list of sandboxes: what each column shows, and by what the list can be sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.store.model import Urgency
from sandtop.tui.text import age, neutral, size, sparkline
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.row_view import Cell, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandtop.tui.store import SandboxView

COLUMNS: Final = (
    Column("name", "NAME", 12, most=28, rank=0),
    Column("state", "STATE", 10, rank=1),
    Column("need", "ATTENTION", 30, most=100, rank=2),
    Column("cpu", "CPU", 4, rank=3, align="right"),
    Column("cpu_line", "", 12, rank=11),
    Column("memory", "MEM", 5, rank=4, align="right"),
    Column("memory_line", "", 8, rank=12),
    Column("uptime", "UP", 5, rank=5, align="right"),
    Column("sessions", "SESS", 5, rank=6, align="right"),
    Column("output", "OUT", 4, rank=7, align="right"),
    Column("exit", "EXIT", 10, most=14, rank=8),
    Column("image", "IMAGE", 8, most=16, rank=9),
    Column("labels", "LABELS", 10, most=40, rank=10),
)
GLYPHS: Final = {
    "creating": ("◌", "accent"),
    "starting": ("◌", "accent"),
    "running": ("●", "good"),
    "paused": ("‖", "accent"),
    "stopping": ("◌", "accent"),
    "stopped": ("○", "muted"),
    "failed": ("✖", "bad"),
    "lost": ("?", "bad"),
}
_TONES: Final = {
    Urgency.FAILED: "bad",
    Urgency.LOST: "bad",
    Urgency.FAILURE: "bad",
    Urgency.TROUBLE: "warn",
    Urgency.ALERT: "warn",
    Urgency.PROMPT: "warn",
    Urgency.SILENT: "warn",
}


def row(sandbox: SandboxView, now: float) -> Row:
    """The row of ``sandbox`` at the time ``now``."""
    info = sandbox.info
    glyph, tone = GLYPHS.get(info.state, ("?", "muted"))
    alive = info.state in ("running", "paused", "starting", "stopping")
    cells = {
        "name": Cell(neutral(info.name), "muted" if info.state == "stopped" else "plain"),
        "state": Cell(f"{glyph} {info.state}", tone),
        "need": _need(sandbox, now),
        "uptime": Cell(age(now - info.started_at) if alive and info.started_at else "", "plain"),
        "sessions": _sessions(sandbox),
        "image": Cell(neutral(info.image), "muted"),
        "labels": Cell(neutral(" ".join(f"{k}={v}" for k, v in sorted(info.labels.items()))), "muted"),
    }
    if alive and sandbox.cpu:
        cells["cpu"] = Cell(
            f"{sandbox.cpu[-1]:.0f}%", "warn" if sandbox.cpu[-1] >= 90 * info.cpus else "plain"
        )
        cells["cpu_line"] = Cell(sparkline(sandbox.cpu, 100.0 * info.cpus, 12), "accent")
    if alive and sandbox.memory:
        cells["memory"] = Cell(size(sandbox.memory[-1]))
        cells["memory_line"] = Cell(sparkline(sandbox.memory, info.memory * 1048576 * 1.25, 8), "accent")
    if (heard := sandbox.last_output) is not None:
        cells["output"] = Cell(age(now - heard), "muted")
    if (ended := sandbox.last_ended) is not None:
        cells["exit"] = Cell(ended.badge, "bad" if ended.needs_someone else "muted")
    return Row(info.uuid, cells)


def _need(sandbox: SandboxView, now: float) -> Cell:
    if sandbox.pending:
        return Cell(f"… {neutral(sandbox.pending)}", "accent")
    need = sandbox.need
    if not need.wants_someone:
        return Cell("")
    since = "" if need.at is None or need.urgency is Urgency.SILENT else f" · {age(now - need.at)}"
    return Cell(f"▲ {need.text}{since}", _TONES[need.urgency])


def _sessions(sandbox: SandboxView) -> Cell:
    running = sum(not session.ended for session in sandbox.sessions)
    if not sandbox.sessions:
        return Cell("", "muted")
    return Cell(f"{running}/{len(sandbox.sessions)}", "plain" if running else "muted")


_ORDERS: Final[dict[str, Callable[[SandboxView], object]]] = {
    "name": lambda s: s.info.name,
    "state": lambda s: s.info.state,
    "need": lambda s: s.need.order,
    "cpu": lambda s: -(s.cpu[-1] if s.cpu else -1.0),
    "memory": lambda s: -(s.memory[-1] if s.memory else -1.0),
    "uptime": lambda s: s.info.started_at or float("inf"),
    "sessions": lambda s: -sum(not session.ended for session in s.sessions),
    "output": lambda s: -(s.last_output or 0.0),
    "exit": lambda s: (s.last_ended is None, -((s.last_ended.info.exit_code or 0) if s.last_ended else 0)),
    "image": lambda s: s.info.image,
    "labels": lambda s: (not s.info.labels, sorted(s.info.labels.items())),
}
_LINES: Final = {"cpu_line": "cpu", "memory_line": "memory"}


def sortable(column: str) -> str:
    """The order that a click on a column's title asks for."""
    return _LINES.get(column, column)


def ordered(sandboxes: Iterable[SandboxView], by: str, *, descending: bool) -> list[SandboxView]:
    """``sandboxes`` sorted ``by`` one of the orders; equal ones by name."""
    key = _ORDERS[by]
    by_name = sorted(sandboxes, key=lambda sandbox: sandbox.info.name)
    return sorted(by_name, key=lambda sandbox: key(sandbox), reverse=descending)  # type: ignore[arg-type, return-value]  # pyright: ignore
