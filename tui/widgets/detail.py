"""What the row under the cursor is about, beside or below its list: facts, the session's screen or log, last events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from .thumbnail import thumbnail
from .worded import Worded, Words

if TYPE_CHECKING:
    from textual import events

    from sandtop.tui.stream.glance import Glance

_SIDE: Final = 100
"""From this width on, facts and events are at the right of the screen, not above and below it."""
_SIDE_WIDTH: Final = 40
_EVENTS: Final = 5
"""Lines that events take when they are below the screen."""
_FOLDED: Final = 3
"""Lines that one of the facts takes at most."""
_LEAST: Final = 6
"""Lines of the screen before there is room for events."""


@dataclass(frozen=True, slots=True)
class DetailView:
    """All that it shows.

    Attributes:
        key: names what the row is about; what is drawn starts anew when it changes.
        title: which sandbox, and how it is.
        facts: a line each, or up to three if it is long: why it needs somebody, how it is made.
        session: which session it is that shows; empty when there is none.
        glance: what that shows, or None.
        nothing: what to say in place of ``glance``.
        happened: a line each, the newest first.
    """

    key: str
    title: Words
    facts: tuple[Words, ...] = ()
    session: Words = ()
    glance: Glance | None = None
    nothing: str = ""
    happened: tuple[Words, ...] = ()

    def of(self, sandbox: str) -> DetailView:
        """The same with the name of the sandbox in front of the title, for lists with sessions of several."""
        return replace(self, title=((f"{sandbox} › ", "muted"), *self.title))


class Detail(Worded):
    """It never has the focus: enter, in the list, goes into what it shows, and so does a click."""

    DEFAULT_CSS = """
    Detail { display: none; }
    """

    @dataclass
    class Clicked(Message):
        """A click into it."""

        detail: Detail

    def __init__(self) -> None:
        super().__init__(id="detail")
        self._view = DetailView("", ())
        self._strips: list[Strip] | None = None

    def show(self, view: DetailView) -> None:
        """Show ``view``; lines are drawn anew only when they have changed."""
        if view == self._view:
            return
        self._view = view
        before, self._strips = self._strips, None
        now = self._drawn
        if before is None or len(before) != len(now):
            self.refresh()
        elif changed := [y for y, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]:
            self.refresh(*[Region(0, y, self.size.width, 1) for y in changed])

    @property
    def text(self) -> str:
        """What is shown, line by line."""
        return "\n".join(strip.text.rstrip() for strip in self._drawn)

    def forget_drawn(self) -> None:
        self._strips = None

    def on_resize(self, event: events.Resize) -> None:
        self._draw_anew()

    def _draw_anew(self) -> None:
        self._strips = None
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(self))

    def render_line(self, y: int) -> Strip:
        strips = self._drawn
        return strips[y] if y < len(strips) else Strip.blank(self.size.width, self.base)

    # laying out

    @property
    def _drawn(self) -> list[Strip]:
        """The lines: worked out when they are asked for, and kept until something changes."""
        if self._strips is None:
            width, height = self.size
            if width < 10 or height < 3:
                return []
            strips = self._side_by_side(width, height) if width >= _SIDE else self._stacked(width, height)
            self._strips = strips[:height]
        return self._strips

    def _side_by_side(self, width: int, height: int) -> list[Strip]:
        left = width - _SIDE_WIDTH - 3
        view = self._view
        screen = [self.line(self._heading, left), *self._screen(left, height - 1)]
        side = [self.line(view.title, _SIDE_WIDTH)]
        side += self._facts(_SIDE_WIDTH)
        if view.happened:
            side.append(self.rule("events", _SIDE_WIDTH))
            side += [self.line(one, _SIDE_WIDTH) for one in view.happened]
        bar = Segment(" │ ", self.component("worded--rule"))
        blank = Strip.blank(_SIDE_WIDTH, self.base)
        side += [blank] * (height - len(side))
        return [Strip([*one, bar, *other], width) for one, other in zip(screen, side[:height], strict=True)]

    def _stacked(self, width: int, height: int) -> list[Strip]:
        view = self._view
        strips = [self.line(view.title, width)]
        strips += self._facts(width)[: max(0, height - _LEAST - 2)]
        strips.append(self._session_rule(width))
        left = height - len(strips)
        happened = view.happened[: min(_EVENTS, max(0, left - _LEAST - 1))]
        below = [self.rule("events", width), *[self.line(one, width) for one in happened]] if happened else []
        return [*strips, *self._screen(width, left - len(below)), *below]

    def _facts(self, width: int) -> list[Strip]:
        return [strip for fact in self._view.facts for strip in self.folded(fact, width, _FOLDED)]

    @property
    def _heading(self) -> Words:
        return self._view.session or (("no session", "muted"),)

    def _session_rule(self, width: int) -> Strip:
        line = Strip([Segment("── ", self.component("worded--rule")), *self.words(self._heading)])
        line = line.crop(0, width - 2)
        rest = width - line.cell_length - 1
        rule = Segment(" " + "─" * rest, self.component("worded--rule"))
        return Strip([*line, rule]).adjust_cell_length(width, self.base)

    def _screen(self, width: int, height: int) -> list[Strip]:
        if height <= 0:
            return []
        view = self._view
        if view.glance is None or not view.glance.lines:
            nothing = Segment(" " + view.nothing, self.component("worded--muted"))
            first = Strip([nothing]).crop(0, width).adjust_cell_length(width, self.base)
            return [first] + [Strip.blank(width, self.base)] * (height - 1)
        return thumbnail(view.glance, width, height, self.base, self.component("worded--warn"))
