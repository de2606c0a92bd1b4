"""How a line of a log looks: its gutter, its colours, what was searched for; cut or wrapped to the width."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sandtop.tui.ansi import styled
from sandtop.tui.stream.ring import NOTE

from .painted import Painted
from .strips import restyle

if TYPE_CHECKING:
    import re

    from sandtop.tui.stream.ring import Line

_SOURCES: Final = tuple(Style.parse(f"color({number})") for number in (6, 3, 2, 5, 4, 14, 11, 10, 13, 12))
"""The colours of sources, of the theme's sixteen."""
_SIDEWAYS: Final = 16
"""Cells that one step to the left or right moves cut lines."""
_KEPT: Final = 600
"""Lines whose strips are kept."""


class LogLineView(Painted):
    """Draws lines, one at a time; which ones, `LogView` says.

    Attributes:
        wrap: a long line goes on below itself, else it is cut.
        times: each line begins with the time at which it came.
        looking_for: what is searched for: its matches are marked.
        found: the number of the line that the search stands on.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--stderr",
        "log--note",
        "log--time",
        "log--match",
        "log--found",
        "log--selected",
    }
    DEFAULT_CSS = """
    LogLineView { height: 1fr; }
    LogLineView > .log--stderr { color: $text-warning; text-style: bold; }
    LogLineView > .log--note { color: $text-accent; text-style: italic; }
    LogLineView > .log--time { color: $text-muted; }
    LogLineView > .log--match { background: $match; color: $match-text; }
    LogLineView > .log--found { background: $match-here; color: $match-text; text-style: bold; }
    LogLineView > .log--selected { background: $primary 60%; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.wrap = False
        self.times = False
        self.looking_for: re.Pattern[str] | None = None
        self.found: int | None = None
        self._left = 0  # cells of cut lines that are out of view at the left
        self._strips: dict[int, list[Strip]] = {}
        self._sources: dict[int, tuple[str, int]] = {}

    def name_source(self, number: int, name: str, colour: int) -> None:
        """Lines of the streams ``4 * number`` and some begin with ``name``, in the colour of that number."""
        self._sources[number] = (name, colour)

    def source_of(self, line: Line) -> str:
        """What a line begins with; empty when all are of one session."""
        named = self._sources.get(line.stream // 4) if line.stream != NOTE else None
        return f"{named[0]} " if named is not None else ""

    def _strips_of(self, line: Line) -> list[Strip]:
        cached = self._strips.get(line.number)
        if cached is not None:
            return cached
        strips = self._drawn(line)
        if line.whole:
            if len(self._strips) >= _KEPT:
                self._strips.clear()
            self._strips[line.number] = strips
        return strips

    def _drawn(self, line: Line) -> list[Strip]:
        gutter = self._gutter(line)
        width = max(1, self.size.width - sum(segment.cell_length for segment in gutter))
        whole = self._whole_line(line)
        if not self.wrap:
            shown = whole.crop(self._left, self._left + width)
            if whole.cell_length > self._left + width:
                shown = Strip([*shown.crop(0, width - 1), Segment("›", self.component("log--time"))])
            return [Strip([*gutter, *shown]).adjust_cell_length(self.size.width, self.base)]
        strips: list[Strip] = []
        for start in range(0, max(1, whole.cell_length), width):
            lead = gutter if not start else [Segment(" " * (self.size.width - width), self.base)]
            part = whole.crop(start, start + width)
            strips.append(Strip([*lead, *part]).adjust_cell_length(self.size.width, self.base))
        return strips

    def _whole_line(self, line: Line) -> Strip:
        pieces = styled(line.text)
        if line.stream == NOTE:
            pieces = [("── ", None), *pieces, (" ──", None)]
            style = self.component("log--note")
            strip = Strip([Segment(text, style) for text, _ in pieces])
        else:
            strip = Strip([Segment(text, self.over_base(style)) for text, style in pieces])
        if self.looking_for is None:
            return strip
        text = strip.text
        found = self.component("log--found" if line.number == self.found else "log--match")
        for match in self.looking_for.finditer(text):
            start = cell_len(text[: match.start()])
            strip = restyle(strip, start, start + cell_len(match[0]), found)
        return strip

    def _gutter(self, line: Line) -> list[Segment]:
        """Where the line comes from, and when it came."""
        parts: list[Segment] = []
        if self.times:
            at = time.strftime("%H:%M:%S", time.localtime(line.at)) if line.at is not None else "        "
            parts.append(Segment(f"{at} ", self.component("log--time")))
        if line.stream != NOTE and (named := self._sources.get(line.stream // 4)) is not None:
            parts.append(Segment(f"{named[0]} ", self.over_base(_SOURCES[named[1] % len(_SOURCES)])))
        if line.stream % 4 == 2:
            parts.append(Segment("▌", self.component("log--stderr")))
        else:
            parts.append(Segment(" ", self.base))
        return parts

    def _move_sideways(self, step: int) -> None:
        """Move cut lines to the left or right."""
        self._left = max(0, self._left + step * _SIDEWAYS)
        self._strips.clear()

    def _bring_match_into_view(self, line: Line) -> None:
        """When lines are cut, and what was found in ``line`` is beyond an edge, move sideways to it."""
        if self.wrap or self.looking_for is None:
            return
        text = self._whole_line(line).text
        if (match := self.looking_for.search(text)) is None:
            return
        width = self.size.width - sum(segment.cell_length for segment in self._gutter(line)) - 1
        start, end = cell_len(text[: match.start()]), cell_len(text[: match.end()])
        if not self._left <= start or end > self._left + width:
            self._left = 0 if end <= width else max(0, start - width // 3)
