"""The console's two themes: calm greys, one accent, and colour where somebody should look."""

from __future__ import annotations

from typing import Final

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
