"""The console's two themes: greys, one accent, and colour only for what asks for attention."""

from __future__ import annotations

from typing import Final

from rich.color import Color
from rich.terminal_theme import TerminalTheme
from textual.theme import Theme


def _scrollbars(bar: str, track: str) -> dict[str, str]:
    colours: dict[str, str] = {"scrollbar-corner-color": track}
    for state in ("", "-hover", "-active"):
        colours |= {f"scrollbar{state}": bar, f"scrollbar-background{state}": track}
    return colours


DARK: Final = Theme(
    name="sandtop-dark",
    primary="#5f87af",
    secondary="#87afaf",
    accent="#87afd7",
    foreground="#d0d4da",
    background="#14171c",
    surface="#1a1e24",
    panel="#232830",
    success="#87af87",
    warning="#d7af5f",
    error="#e0696f",
    dark=True,
    variables={
        "footer-key-foreground": "#87afd7",
        "border": "#3a424e",
        "border-blurred": "#2b313a",
        "text-muted": "#8b939e",
        **_scrollbars("#3a424e", "#1a1e24"),
    },
)
LIGHT: Final = Theme(
    name="sandtop-light",
    primary="#3a6ea5",
    secondary="#2f6f6f",
    accent="#205d9c",
    foreground="#24292f",
    background="#fbfbf9",
    surface="#f4f4f0",
    panel="#e8e8e2",
    success="#2e7d32",
    warning="#8a5a00",
    error="#b3261e",
    dark=False,
    variables={
        "footer-key-foreground": "#205d9c",
        "border": "#b9bcc0",
        "border-blurred": "#d6d8da",
        "text-muted": "#63686e",
        **_scrollbars("#b9bcc0", "#f4f4f0"),
    },
)


def _parts(colour: str | None) -> tuple[int, int, int]:
    red, green, blue = Color.parse(colour or "").get_truecolor()
    return red, green, blue


def _ansi(theme: Theme, *colours: str) -> TerminalTheme:
    """The sixteen colours of programs: black, red, green, yellow, blue, magenta, cyan, white; then the bright ones.

    Those of the operator's terminal would not do: they are chosen for its background, and the console has another.
    All of these can be told apart, also on a terminal of 256 colours, and read on the theme's background. Their hues
    are OKLCH's, with one contrast (WCAG 2.1, 1.4.3) for the six plain colours and one for the six bright.
    """
    triplets = [_parts(colour) for colour in colours]
    return TerminalTheme(_parts(theme.background), _parts(theme.foreground), triplets[:8], triplets[8:])


DARK_ANSI: Final = _ansi(
    DARK,
    "#3a3f45", "#ec645a", "#36a442", "#aa8e00", "#558df8", "#cd6bcb", "#009fac", "#c5cbd2",
    "#6b7077", "#ffa499", "#7ace7e", "#d7ba40", "#99bcfd", "#f19fef", "#1acfdf", "#eff2f6",
)  # fmt: skip
LIGHT_ANSI: Final = _ansi(
    LIGHT,
    "#23272d", "#a72120", "#006617", "#675500", "#1d51b6", "#8d2e8c", "#056068", "#72787f",
    "#4d5258", "#df3c37", "#028d24", "#907700", "#3372f0", "#bd49bc", "#088690", "#95989b",
)  # fmt: skip
