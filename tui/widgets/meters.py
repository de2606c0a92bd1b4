"""The line of meters below the header: what the host has, how many sandboxes are in which state, the core's latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content
from textual.widgets import Static

from sandtop.tui.text import bar, plural, size

if TYPE_CHECKING:
    from textual import events

    from sandtop.tui.store import FleetView

Part = tuple[tuple[str, str], ...]
"""Pieces of text and their styles."""
_BAR: Final = 8
_FULL: Final = 90.0
"""Percent from which on a meter is shown in another colour."""
_SLOW: Final = 0.25
"""Seconds that something in the core waited for its turn: people notice that."""
_TROUBLED: Final = ("failed", "lost")


class Meters(Static):
    """Drawn anew only when what it shows has changed."""

    DEFAULT_CSS = """
    Meters { height: 1; background: $surface; color: $text-muted; display: none; }
    Meters.-on { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._parts: tuple[Part, ...] = ()
        self._short: tuple[Part, ...] = ()

    def show(self, view: FleetView) -> None:
        """Show what is known of the host; nothing before the core has said it."""
        parts, short = _parts(view, bars=True), _parts(view, bars=False)
        if parts != self._parts:
            self._parts, self._short = parts, short
            self.set_class(bool(parts), "-on")
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        parts = self._parts if _width(self._parts) <= self.size.width else self._short
        while len(parts) > 1 and _width(parts) > self.size.width:
            parts = (*parts[:-2], parts[-1]) if len(parts) > 2 else parts[:1]
        words = [Content.assemble(*part) for part in parts]
        self.update(Content(" ") + Content("   ").join(words), layout=False)


def _width(parts: tuple[Part, ...]) -> int:
    return 1 + sum(len(text) for part in parts for text, _ in part) + 3 * (len(parts) - 1)


def _parts(view: FleetView, *, bars: bool) -> tuple[Part, ...]:
    host = view.host.stats
    if host is None:
        return ()
    memory = host.memory / host.memory_total * 100 if host.memory_total else 0.0
    parts = [
        _meter("cpu", (host.cpu or 0.0) / max(1, host.cpus), f" of {host.cpus}" if bars else "", bars=bars),
        _meter("mem", memory, f" of {size(host.memory_total)}" if bars else "", bars=bars),
    ]
    if host.disk_free is not None and host.disk_total:
        full = (1 - host.disk_free / host.disk_total) * 100
        parts.append(_meter("disk", full, f"  {size(host.disk_free)} free" if bars else "", bars=bars))
    states = {state: count for state, count in host.sandboxes.items() if count}
    if states:
        shown = (
            states if bars else {state: n for state, n in states.items() if state in ("running", *_TROUBLED)}
        )
        parts.append(_states(shown))
    if bars:
        parts.append(((plural(host.sessions, "session"), ""),))
    slow = "bold $text-warning" if host.latency >= _SLOW else ""
    parts.append((("core ", ""), (f"{host.latency * 1000:.0f} ms", slow or "$foreground")))
    return tuple(parts)


def _meter(name: str, percent: float, more: str, *, bars: bool) -> Part:
    style = "bold $text-warning" if percent >= _FULL else "$foreground"
    line = (bar(percent / 100, _BAR) + " ", "$text-warning" if percent >= _FULL else "$text-accent")
    return ((f"{name} ", ""), *((line,) if bars else ()), (f"{min(percent, 999):.0f}%", style), (more, ""))


def _states(states: dict[str, int]) -> Part:
    words: list[tuple[str, str]] = []
    for state, count in sorted(states.items(), key=lambda entry: (entry[0] != "running", entry[0])):
        style = (
            "bold $text-error"
            if state in _TROUBLED
            else "$text-success"
            if state == "running"
            else "$foreground"
        )
        words += [(f"{'  ' if words else ''}{count}", style), (f" {state}", "")]
    return tuple(words)
