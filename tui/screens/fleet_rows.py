"""The rows of the list of sandboxes: what each column shows, and by what the list can be sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.store.model import Urgency
from sandtop.tui.text import age, bar, neutral
from sandtop.tui.widgets.cells import Column
from sandtop.tui.widgets.row_view import Cell, Row

from .detail_views import GLYPHS, activity, memory_tone, newest_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandtop.tui.store import SandboxView

COLUMNS: Final = (
    Column("name", "NAME", 12, most=28, rank=0),
    Column("state", "STATE", 10, rank=1),
    Column("command", "COMMAND", 14, share=1, comfort=18, rank=5),
    Column("need", "ATTENTION · OUTPUT", 28, share=3, comfort=36, rank=2),
    Column("cpu", "CPU", 4, rank=3, align="right"),
    Column("cpu_line", "", 12, rank=12),
    Column("memory", "MEM", 4, rank=4, align="right"),
    Column("memory_line", "", 8, rank=9),
    Column("uptime", "UP", 5, rank=6, align="right"),
    Column("sessions", "SESS", 5, rank=7, align="right"),
    Column("output", "OUT", 4, rank=8, align="right"),
    Column("exit", "EXIT", 10, rank=11),
    Column("image", "IMAGE", 8, most=16, rank=10),
    Column("labels", "LABELS", 10, most=30, rank=13),
)
_CPU_STEP: Final = 5.0
"""Percent of a core by which two sandboxes must differ to be sorted by it: else the list would never stand still."""
_CPU_CELLS: Final = 2
"""Cells of a sparkline whose mean it is that the list is sorted by."""
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
    growing = {
        "name": Cell(neutral(info.name), "muted" if info.state == "stopped" else "plain"),
        "image": Cell(neutral(info.image), "muted"),
        "labels": Cell(neutral(" ".join(f"{k}={v}" for k, v in sorted(info.labels.items()))), "muted"),
    }
    return Row(info.uuid, growing, lambda: _rest(sandbox, now))


def _rest(sandbox: SandboxView, now: float) -> dict[str, Cell]:
    """The cells whose columns do not grow."""
    info = sandbox.info
    glyph, tone = GLYPHS.get(info.state, ("?", "muted"))
    alive = info.state in ("running", "paused", "starting", "stopping")
    cells = {
        "state": Cell(f"{glyph} {info.state}", tone),
        "command": _command(sandbox),
        "need": _need(sandbox, now),
        "uptime": Cell(age(now - info.started_at) if alive and info.started_at else "", "plain"),
        "sessions": _sessions(sandbox),
    }
    if alive and (cpu := sandbox.cpu) is not None:
        cells["cpu"] = Cell(f"{cpu:.0f}%", "warn" if cpu >= 90 * info.cpus else "plain")
        cells["cpu_line"] = Cell(activity(sandbox, 12), "accent")
    if alive and (percent := sandbox.memory_percent) is not None:
        tone = memory_tone(percent)
        cells["memory"] = Cell(f"{percent:.0f}%", tone)
        cells["memory_line"] = Cell(bar(percent / 100, 8), "accent" if tone == "plain" else tone)
    if (heard := sandbox.last_output) is not None:
        cells["output"] = Cell(age(now - heard), "muted")
    if (ended := sandbox.last_ended) is not None:
        cells["exit"] = Cell(ended.badge, "bad" if ended.needs_someone else "muted")
    return cells


def _need(sandbox: SandboxView, now: float) -> Cell:
    if sandbox.pending:
        return Cell(f"… {neutral(sandbox.pending)}", "accent")
    need = sandbox.need
    if need.wants_someone:
        since = "" if need.at is None or need.urgency is Urgency.SILENT else f" · {age(now - need.at)}"
        return Cell(f"▲ {need.text}", _TONES[need.urgency], since)
    session = newest_session(sandbox)
    return Cell(neutral(session.info.last_line or "") if session is not None else "", "muted")


def _command(sandbox: SandboxView) -> Cell:
    session = newest_session(sandbox)
    if session is None:
        return Cell("")
    return Cell(session.doing, "muted" if session.ended else "plain")


def _sessions(sandbox: SandboxView) -> Cell:
    running = sum(not session.ended for session in sandbox.sessions)
    if not sandbox.sessions:
        return Cell("", "muted")
    return Cell(f"{running}/{len(sandbox.sessions)}", "plain" if running else "muted")


def _steady_cpu(sandbox: SandboxView) -> float:
    """The mean of the last minute or so, in steps."""
    values = sandbox.usage.line[-_CPU_CELLS:]
    return round(sum(values) / len(values) / _CPU_STEP) * _CPU_STEP if values else -1.0


ORDERS: Final[dict[str, Callable[[SandboxView], object]]] = {
    "name": lambda s: s.info.name,
    "state": lambda s: s.info.state,
    "need": lambda s: s.need.order,
    "cpu": lambda s: -_steady_cpu(s),
    "memory": lambda s: -round(s.memory_percent or -1.0),
    "uptime": lambda s: s.info.started_at or float("inf"),
    "sessions": lambda s: -sum(not session.ended for session in s.sessions),
    "output": lambda s: -(s.last_output or 0.0),
    "exit": lambda s: (s.last_ended is None, -((s.last_ended.info.exit_code or 0) if s.last_ended else 0)),
    "command": lambda s: found.doing if (found := newest_session(s)) is not None else "~",
    "image": lambda s: s.info.image,
    "labels": lambda s: (not s.info.labels, sorted(s.info.labels.items())),
}
ORDER_NAMES: Final = [(name, "attention" if name == "need" else name) for name in ORDERS]
"""What the operator chooses from: the order, and what it is called."""
ORDER_LETTERS: Final = {
    "name": "n", "state": "s", "need": "a", "cpu": "c", "memory": "m", "uptime": "u", "sessions": "e",
    "output": "o", "exit": "x", "command": "d", "image": "i", "labels": "l",
}  # fmt: skip
"""The letter in its name that chooses each."""
_LINES: Final = {"cpu_line": "cpu", "memory_line": "memory"}


def sortable(column: str) -> str:
    """The order that a click on a column's title asks for."""
    return _LINES.get(column, column)


def ordered(sandboxes: Iterable[SandboxView], by: str, *, descending: bool) -> list[SandboxView]:
    """``sandboxes`` sorted ``by`` one of the orders; equal ones by name."""
    key = ORDERS[by]
    by_name = sorted(sandboxes, key=lambda sandbox: sandbox.info.name)
    return sorted(by_name, key=lambda sandbox: key(sandbox), reverse=descending)  # type: ignore[arg-type, return-value]  # pyright: ignore
