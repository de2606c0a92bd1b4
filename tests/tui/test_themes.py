"""The console's colours on terminals of few colours: each was chosen, none is a neighbour of it."""

from __future__ import annotations

import pytest
from rich.color import Color, ColorSystem, ColorType
from tests.fakecore import NOW, FakeCore

from sandtop.tui.app import Console
from sandtop.tui.store import Store
from sandtop.tui.theme import LOOKS, TERMINAL, THEMES, ThemeName, look

from . import scene
from .conftest import LOOK_SECONDS, until

pytestmark = pytest.mark.anyio

PLACES: dict[str, tuple[str, ...]] = {
    "list": (), "sessions": ("j", "enter"), "keys": ("question_mark",), "palette": ("colon",), "create": ("c",),
    "filter": ("slash", "a"), "question": ("j", "ctrl+d"), "error": ("x",), "log": ("j", "l"),
    "log search": ("j", "l", "slash", "e", "enter"),
}  # fmt: skip


async def drawn(theme: ThemeName, colours: str, keys: tuple[str, ...]) -> set[Color]:
    """The colours that the terminal is told of after ``keys``."""
    with FakeCore(*scene.sandboxes(), sessions=scene.sessions()):
        app = Console(Store(), clock=lambda: NOW, interval=LOOK_SECONDS, colours=colours)
        async with app.run_test(size=(80, 24)) as pilot:
            app.use_theme(theme)
            await until(pilot, lambda: app.store.view.version > 0)
            await pilot.press(*keys)
            await pilot.pause()
            strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
            styles = [style for strip in strips for text, style, _ in strip if style and text]
            return {
                colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None
            }


def of_palette(colour: Color) -> bool:
    """Whether xterm's palette has ``colour``, but for what Textual's blending rounds.

    Rich (15.0) draws the light greys of the palette one step darker than they are.
    """
    drawn_as, asked = colour.downgrade(ColorSystem.EIGHT_BIT).get_truecolor(), colour.get_truecolor()
    grey = len(set(asked)) == len(set(drawn_as)) == 1 and (asked.red - 8) % 10 == 0
    return all(abs(a - b) <= (10 if grey else 1) for a, b in zip(asked, drawn_as, strict=True))


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_on_a_terminal_of_256_colours_all_are_of_its_palette(theme: ThemeName) -> None:
    for place, keys in PLACES.items():
        found = await drawn(theme, "256", keys)
        assert not [colour.name for colour in found if not of_palette(colour)], place


@pytest.mark.parametrize("theme", THEMES)
async def test_a_terminal_of_sixteen_colours_is_told_its_own(theme: ThemeName) -> None:
    for place, keys in PLACES.items():
        found = await drawn(theme, "standard", keys)
        others = [
            colour.name for colour in found if colour.type not in (ColorType.STANDARD, ColorType.DEFAULT)
        ]
        assert not others, place


def test_which_look_a_theme_has_where() -> None:
    assert all(look(theme, "standard") is TERMINAL for theme in THEMES)
    assert look("terminal", "truecolor") is TERMINAL
    assert look("dark", "256").theme.name == "sandtop-dark-256"
    assert look("light", "truecolor").theme.name == look("light", None).theme.name == "sandtop-light"


def test_all_looks_have_the_same_variables() -> None:
    """A style sheet that names one works in every theme."""
    own = [
        {name for name in one.theme.variables if not name.startswith(("text", "ansi-", "block-", "input-"))}
        for one in LOOKS
    ]
    assert all(names == own[0] for names in own)


async def test_the_palette_goes_through_the_themes() -> None:
    with FakeCore(*scene.sandboxes()):
        app = Console(Store(), clock=lambda: NOW, interval=LOOK_SECONDS, colours="256")
        async with app.run_test(size=(80, 24)) as pilot:
            seen: list[str] = []
            for _ in range(4):
                seen.append(app.theme)
                await app.run_action("theme")
                await pilot.pause()
    assert seen == ["sandtop-dark-256", "sandtop-light-256", "sandtop-terminal", "sandtop-dark-256"]
