"""The sixteen colours of programs: apart from each other and readable, in logs and terminals, dark and light."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from rich.color import ColorSystem
from tests.fakecore import NOW, FakeCore, sandbox, session
from textual.color import Color, rgb_to_lab

from sandtop.tui.theme import DARK, LIGHT
from sandtop.tui.widgets.log_pane import LogPane
from sandtop.tui.widgets.terminal_pane import TerminalPane

from .conftest import running, until

if TYPE_CHECKING:
    from textual.strip import Strip
    from textual.theme import Theme

    from sandtop.tui.app import Console

pytestmark = pytest.mark.anyio
CODES = [*range(30, 38), *range(90, 98)]
LINES = b"".join(b"\x1b[%dmfore\x1b[0m \x1b[%dmback\x1b[0m \x1b[38;5;%dmfore\x1b[0m\r\n" % (code, code + 10, number)
                 for number, code in enumerate(CODES))  # fmt: skip
APART = 12.0
"""The least distance of two (CIE 1976; about five times what one notices side by side)."""


def painted(app: Console, strip: Strip) -> tuple[Color, Color]:
    """What the terminal is told of the words ``fore`` and ``back`` in a line."""
    background = Color.parse(app.current_theme.background or "")
    found: dict[str, Color] = {}
    for line_filter in app.get_line_filters():
        strip = strip.apply_filter(line_filter, background)
    for text, style, _ in strip:
        word, colour = text.strip(), None
        if style is not None and word in ("fore", "back"):
            colour = style.color if word == "fore" else style.bgcolor
        if colour is not None:
            now = Color.from_rich_color(colour)
            assert found.setdefault(word, now) == now  # 38;5;N is the same colour
    return found["fore"], found["back"]


def distance(one: Color, other: Color) -> float:
    return math.dist(rgb_to_lab(one), rgb_to_lab(other))


def luminance(colour: Color) -> float:
    """As WCAG 2.1 defines it."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def check(colours: list[Color], background: Color, *, dark: bool) -> None:
    assert len({colour.hex for colour in colours}) == 16
    of_256 = {colour.rich_color.downgrade(ColorSystem.EIGHT_BIT).number for colour in colours}
    assert len(of_256) == 16
    assert min(distance(a, b) for a in colours for b in colours if a is not b) > APART
    seen = [contrast(colour, background) for colour in colours]
    assert all(ratio >= 4.15 for ratio in (*seen[1:7], *seen[9:15])), seen
    assert seen[8] >= 3.0
    # the ends of the greys come near the background on one side, or they would not be apart
    assert seen[0] >= (1.5 if dark else 10.0)
    assert min(seen[7], seen[15]) >= (10.0 if dark else 2.7)


@pytest.mark.parametrize("tty", [True, False], ids=["terminal", "log"])
@pytest.mark.parametrize("theme", [DARK.theme, LIGHT.theme], ids=["dark", "light"])
async def test_all_sixteen_colours_are_apart_and_readable(theme: Theme, tty: bool) -> None:
    one = session("t", "web", "colours", tty=tty)
    one.pieces = [(NOW, 1, LINES)]
    with FakeCore(sandbox("web"), sessions=(one,)):
        async with running() as (app, pilot):
            app.theme = theme.name
            await pilot.press("l")
            await until(pilot, lambda: app.nav.open_panes == 1 and app.nav.panes.takes_keys)
            pane = app.nav.panes.current
            assert isinstance(pane, TerminalPane if tty else LogPane)
            view = pane.terminal if isinstance(pane, TerminalPane) else pane.view
            await until(pilot, lambda: "fore" in view.render_line(15).text)
            pairs = [painted(app, view.render_line(number)) for number in range(16)]
            assert [fore for fore, _ in pairs] == [back for _, back in pairs]
            check([fore for fore, _ in pairs], Color.parse(str(theme.background)), dark=theme.dark)
