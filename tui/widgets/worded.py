"""The base of widgets that draw lines of words, each in one of a few tones."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from textual.strip import Strip

from .cells import fit
from .painted import Painted
from .row_view import TONES

Words = tuple[tuple[str, str], ...]
"""Pieces of text, each with one of `TONES`, or ``strong`` or ``rule``."""


class Worded(Painted):
    """Makes strips of words."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"worded--{tone}" for tone in (*TONES, "strong", "rule"))}
    DEFAULT_CSS = """
    Worded > .worded--strong { color: $text-accent; text-style: bold; }
    Worded > .worded--rule { color: $border; }
    Worded > .worded--muted { color: $text-muted; }
    Worded > .worded--good { color: $text-success; }
    Worded > .worded--warn { color: $text-warning; }
    Worded > .worded--bad { color: $text-error; text-style: bold; }
    Worded > .worded--accent { color: $text-accent; }
    """

    def words(self, words: Words) -> list[Segment]:
        """``words`` in the widget's styles."""
        return [
            Segment(text, self.base if tone == "plain" else self.component(f"worded--{tone}"))
            for text, tone in words
        ]

    def line(self, words: Words, width: int) -> Strip:
        """A line of just ``width`` cells; the last of ``words`` is cut if need be."""
        strip = Strip(self.words(words))
        if strip.cell_length > width:
            text, tone = words[-1]
            room = width - sum(cell_len(one) for one, _ in words[:-1])
            if room > 1:
                return self.line((*words[:-1], (fit(text, room), tone)), width)
            strip = strip.crop(0, width)
        return strip.adjust_cell_length(width, self.base)

    def folded(self, words: Words, width: int, most: int) -> list[Strip]:
        """`line`, but a single piece of text that is too long takes up to ``most`` lines."""
        if len(words) != 1 or cell_len(words[0][0]) <= width:
            return [self.line(words, width)]
        text, tone = words[0]
        wide = cell_len(text) != len(text)
        pieces = chop_cells(text, width) if wide else textwrap.wrap(text, width)
        shown = [*pieces[: most - 1], " ".join(pieces[most - 1 :])]
        return [self.line(((piece, tone),), width) for piece in shown if piece]

    def rule(self, name: str, width: int) -> Strip:
        """A line across with ``name`` in it."""
        rule = self.component("worded--rule")
        rest = "─" * max(0, width - cell_len(name) - 4)
        words = [
            Segment("── ", rule),
            Segment(name, self.component("worded--muted")),
            Segment(f" {rest}", rule),
        ]
        return Strip(words).adjust_cell_length(width, self.base)
