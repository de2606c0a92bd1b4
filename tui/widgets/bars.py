"""The lines at the edges of a screen: header, banner, notices, and the keys that work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from sandtop.tui.actions import Action, shown_key
from sandtop.tui.text import neutral

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

    from sandtop.tui.notices import Notice
    from sandtop.tui.store import FleetView


class Header(Static):
    """Which screen this is, how many sandboxes there are and need somebody, and whether the core answers.

    A click on how many need somebody goes to the next of them.
    """

    @dataclass
    class NeedClicked(Message):
        """A click on how many need somebody."""

    DEFAULT_CSS = """
    Header { height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._place: tuple[str, ...] = ()
        self._facts: tuple[tuple[str, str], ...] = ()
        self._text = ""
        self._clock = ""

    def show(self, place: Sequence[str], view: FleetView, clock: str, stale: bool) -> None:
        """``place``: which screen, from the outermost name to the innermost. ``stale``: the core does not answer."""
        running = sum(sandbox.info.state == "running" for sandbox in view.sandboxes)
        troubled = len(view.troubled)
        facts = [(f"{len(view.sandboxes)} sandbox{'es' if len(view.sandboxes) != 1 else ''}", "")]
        facts.append((f"{running} running", ""))
        if troubled:
            facts.append((f"▲ {troubled} need{'s' if troubled == 1 else ''} you", "bold $text-error"))
        if view.version == 0:
            facts = []
        health = ("○ no answer", "bold $text-error") if stale else ("● core", "$text-success")
        if view.version == 0 and not stale:
            health = ("◌ asking the core", "$text-muted")
        facts.append(health)
        fresh = (tuple(neutral(part, 60) for part in place), tuple(facts), clock)
        if fresh != (self._place, self._facts, self._clock):
            self._place, self._facts, self._clock = fresh
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.size.width
        left = Content.assemble(
            (" sandtop", "bold $text-accent"),
            *[part for name in self._place for part in ((" › ", "$text-muted"), (name, "bold"))],
        )
        facts = list(self._facts)
        right = _joined([*facts, (self._clock, "$text-muted")])
        while facts and left.cell_length + right.cell_length + 3 > width:
            facts.pop(0)
            right = _joined([*facts, (self._clock, "$text-muted")])
        gap = " " * max(1, width - left.cell_length - right.cell_length - 1)
        line = left + gap + right
        self._text = line.plain
        self.update(line, layout=False)

    def on_click(self, event: events.Click) -> None:
        begin, end = self._text.rfind("▲"), self._text.rfind(" you")
        if 0 <= begin <= event.x < end + len(" you"):
            event.stop()
            self.post_message(self.NeedClicked())


def _joined(facts: Sequence[tuple[str, str]]) -> Content:
    return Content("   ").join([Content.styled(text, style) for text, style in facts])


class Banner(Static):
    """A warning across the screen, for as long as it holds."""

    DEFAULT_CSS = """
    Banner { height: auto; display: none; background: $warned; color: $foreground; padding: 0 1; }
    Banner.-on { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._text = ""

    def show(self, text: str) -> None:
        """Show ``text``; an empty one hides the banner."""
        if text != self._text:
            self._text = text
            self.set_class(bool(text), "-on")
            self.update(Content.assemble(("▲ ", "bold"), text))


class NoticeBar(Static):
    """The notice that is due, above the last line. It lies over the screen's body, so nothing moves when it comes."""

    DEFAULT_CSS = """
    NoticeBar { dock: bottom; layer: notices; height: auto; max-height: 3; display: none; padding: 0 1; }
    NoticeBar { background: $surface; }
    NoticeBar.-on { display: block; }
    NoticeBar.-error { background: $surface; background-tint: $failed; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown: tuple[str, str, str, int] | None = None

    def show(self, current: tuple[Notice, int] | None) -> None:
        """``current``: the notice, and how many more of its kind wait; None hides the bar."""
        shown = (current[0].kind, current[0].text, current[0].hint, current[1]) if current else None
        if shown == self._shown:
            return
        self._shown = shown
        self.set_class(shown is not None, "-on")
        self.set_class(shown is not None and shown[0] == "error", "-error")
        if shown is None:
            return
        kind, text, hint, more = shown
        mark, style = {
            "error": ("✖ ", "bold $text-error"),
            "progress": ("… ", "$text-accent"),
            "done": ("✓ ", "$text-success"),
            "note": ("· ", "$text-muted"),
        }[kind]
        rest = f"   {more} more" if more else ""
        tail = f"   {hint}{rest}" if hint else rest
        self.update(Content.assemble((mark, style), neutral(text, 600), (tail, "$text-muted")))


class KeyBar(Static):
    """The last line: the most useful keys here; a click does what the key does. The page behind ``?`` has them all."""

    @dataclass
    class Clicked(Message):
        """A click on an action."""

        action: Action

    DEFAULT_CSS = """
    KeyBar { height: 1; background: $panel; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._actions: tuple[Action, ...] = ()
        self._lead = ""
        self._places: list[tuple[int, int, Action]] = []

    def show(self, actions: Sequence[Action], lead: str = "") -> None:
        """Show those of ``actions`` that have a footer rank, as far as there is room.

        With a ``lead`` it begins with that text, and shows all of ``actions``.
        """
        ranked = [action for action in actions if action.footer]
        fresh = tuple(actions) if lead else tuple(sorted(ranked, key=lambda action: action.footer))
        if (fresh, lead) != (self._actions, self._lead):
            self._actions, self._lead = fresh, lead
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        room = self.size.width - 1 - cell_len(self._lead)
        always = [action for action in self._actions if action.name in ("help", "quit", "back")]
        shown: list[Action] = []
        used = sum(_key_width(action) for action in always)
        for action in self._actions:
            if action in always:
                shown.append(action)
            elif used + _key_width(action) <= room:
                used += _key_width(action)
                shown.append(action)
        parts: list[tuple[str, str] | str] = [(self._lead, "bold $text-warning")]
        self._places, left = [], cell_len(self._lead)
        for action in shown:
            self._places.append((left, left + _key_width(action), action))
            left += _key_width(action)
            parts += [(f" {shown_key(action.keys[0])}", "bold $text-accent"), f" {action.label} "]
        self.update(Content.assemble(*parts), layout=False)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        for begin, end, action in self._places:
            if begin <= event.x < end:
                self.post_message(self.Clicked(action))


def _key_width(action: Action) -> int:
    return cell_len(shown_key(action.keys[0])) + cell_len(action.label) + 3
