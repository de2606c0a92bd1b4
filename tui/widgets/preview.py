"""The preview below the list of sandboxes: the one under the cursor, with what runs and ran in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from sandtop.tui.text import age, neutral, rate, size

from .cells import fit

if TYPE_CHECKING:
    from sandtop.tui.store import SandboxView, SessionView


class Preview(Static):
    """It never has the focus. Enter, in the list, opens what it shows."""

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown: str = ""

    def show(self, sandbox: SandboxView, now: float) -> None:
        """Show ``sandbox``. It is drawn anew only when its text has changed."""
        width, height = max(20, self.size.width), max(4, self.size.height)
        info = sandbox.info
        parts = [
            Content.assemble(
                (neutral(info.name), "bold $text-accent"),
                f"  {info.state}",
                (f"  {neutral(info.reason)}" if info.reason else "", "$text-error"),
                (
                    f"   {neutral(info.image)}, {info.cpus} cpu, {info.memory} MiB, network {info.network}",
                    "$text-muted",
                ),
            ),
            Content(""),
        ]
        newest = sorted(sandbox.sessions, key=lambda s: (s.ended, -(s.info.started_at or 0.0)))[: height - 3]
        parts += [_session(session, now, width) for session in newest]
        if not newest:
            parts.append(
                Content.styled("Nothing has run in it yet: x runs a command, a opens a shell.", "$text-muted")
            )
        content = Content("\n").join(parts)
        if (text := content.plain) != self._shown:
            self._shown = text
            self.update(content)


def _session(session: SessionView, now: float, width: int) -> Content:
    info = session.info
    style = (
        "bold $text-error" if session.needs_someone else "$text-muted" if session.ended else "$text-success"
    )
    glyph = "✖" if session.failed else "○" if session.ended else "●"
    began = age(now - info.started_at) if info.started_at else ""
    tail = f"{size(info.stdout_bytes + info.stderr_bytes):>6} {rate(session.rate):>8} {began:>5}"
    return Content.assemble(
        (f"{glyph} {fit(session.badge, 14)} ", style),
        (f"{info.id[:8]}  ", "$text-muted"),
        fit(session.command, max(10, width - 54)),
        (tail, "$text-muted"),
    )
