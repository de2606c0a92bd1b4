"""How a cell looks, and how SGR changes it (ECMA-48 §8.3.117; xterm ctlseqs, "Character Attributes").

A `Style` is the plain value. A `Pen` is a style in use: it keeps the cells already made in that style, so identical
cells are one object, and the pens that SGR strings lead to, so a repeated string costs one dictionary look-up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sandtop.core.terminal._width import cluster_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_PARAMETERS: Final = 64
_MAX_CACHED: Final = 4096
_MAX_KEPT: Final = 32768
"""Cached cells, and cached results of SGR sequences, that all pens of a screen have together."""
_STYLE_BYTES: Final = 512
_CELL_BYTES: Final = 128
"""Bytes of a style in use and of a cell, about, without long texts."""


@dataclass(frozen=True, slots=True)
class Style:
    """Colours and attributes.

    Colours are named as Rich names them: ``default``, ``color(0)`` … ``color(255)`` or ``#rrggbb``.
    ``underline`` is ``""`` for none or one of single, double, curly, dotted, dashed. ``link`` is the URI of an
    OSC 8 hyperlink and ``link_id`` its id parameter.
    """

    foreground: str = "default"
    background: str = "default"
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: str = ""
    underline_color: str = "default"
    blink: bool = False
    reverse: bool = False
    conceal: bool = False
    strike: bool = False
    overline: bool = False
    link: str = ""
    link_id: str = ""

    @property
    def attributes(self) -> frozenset[str]:
        """Names of the attributes that are on; an underline gives ``underline`` whatever its form."""
        return frozenset(name for name in _ATTRIBUTES if getattr(self, name))


_ATTRIBUTES: Final = (
    "bold",
    "dim",
    "italic",
    "underline",
    "blink",
    "reverse",
    "conceal",
    "strike",
    "overline",
)
DEFAULT: Final = Style()


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of a row. A wide character is a cell of ``width`` 2 and, right of it, one of width 0 without text."""

    text: str
    width: int
    style: Style

    @property
    def foreground(self) -> str:
        return self.style.foreground

    @property
    def background(self) -> str:
        return self.style.background

    @property
    def attributes(self) -> frozenset[str]:
        """See `Style.attributes`."""
        return self.style.attributes


@lru_cache(maxsize=_MAX_CACHED)
def blank(background: str) -> Cell:
    """An empty cell in a background colour."""
    return Cell(" ", 1, Style(background=background))


class _Cells(dict[str, Cell]):
    """Grapheme to its cell in one style; made on demand, dropped with all others when there are too many."""

    __slots__ = ("case", "style")

    def __init__(self, style: Style, case: PenCase) -> None:
        super().__init__()
        self.style = style
        self.case = case

    def __missing__(self, text: str) -> Cell:
        self.case.keep(self)
        self.case.made += _CELL_BYTES
        cell = self[text] = Cell(text, cluster_width(text) if text else 0, self.style)
        return cell


class _After(dict[str, "Pen"]):
    """The parameters of an SGR sequence with its final ``m``, to the pen that they lead to."""

    __slots__ = ("case", "style")

    def __init__(self, style: Style, case: PenCase) -> None:
        super().__init__()
        self.style = style
        self.case = case

    def __missing__(self, sequence: str) -> Pen:
        self.case.keep(self)
        pen = self[sequence] = self.case.pen(apply_sgr(self.style, sequence[:-1]))
        return pen


class Pen:
    """A style in use. Within one screen there is one pen for each style, so pens compare by identity."""

    __slots__ = ("after", "blank", "case", "get", "style")

    def __init__(self, style: Style, case: PenCase) -> None:
        self.style = style
        self.case = case
        self.get: Callable[[str], Cell] = _Cells(style, case).__getitem__
        """The cell of a grapheme in this style. The cell of the empty string is the right half of a wide character."""
        self.after = _After(style, case)
        # Erasing keeps the background colour and nothing else (xterm's back colour erase).
        self.blank = blank(style.background)


class PenCase:
    """The pens of one screen, with one bound for all that they cache.

    Attributes:
        made: about how many bytes of styles and cells were ever made. The scrollback's bytes are counted by its growth.
    """

    def __init__(self) -> None:
        self._pens: dict[Style, Pen] = {}
        self._filled: dict[int, _Cells | _After] = {}
        self._kept = 0
        self.made = 0
        self.default = self.pen(DEFAULT)

    def pen(self, style: Style) -> Pen:
        pen = self._pens.get(style)
        if pen is None:
            if len(self._pens) >= _MAX_CACHED:
                self._forget()
            self.made += _STYLE_BYTES + len(style.link) + len(style.link_id)
            pen = self._pens[style] = Pen(style, self)
        return pen

    def keep(self, cache: _Cells | _After) -> None:
        """``cache`` is about to get one more entry."""
        if self._kept >= _MAX_KEPT:
            self._forget()
        self._kept += 1
        self._filled[id(cache)] = cache

    def joined(self, text: str) -> None:
        """A cell was made for a grapheme of several characters, which is not cached."""
        self.made += _CELL_BYTES + 4 * len(text)

    def _forget(self) -> None:
        # The program uses very many styles. Pens that are in use stay, the others are made again when needed. Cached
        # results of SGR sequences go, too: they refer to pens, and would keep all of them from being freed.
        for cache in self._filled.values():
            cache.clear()
        self._filled.clear()
        self._kept = 0
        self._pens = {DEFAULT: self.default}


_UNDERLINES: Final = ("", "single", "double", "curly", "dotted", "dashed")
_PALETTE: Final = tuple(f"color({number})" for number in range(256))
_SIMPLE: Final[dict[int, dict[str, object]]] = {
    1: {"bold": True}, 2: {"dim": True}, 3: {"italic": True}, 4: {"underline": "single"}, 5: {"blink": True},
    6: {"blink": True}, 7: {"reverse": True}, 8: {"conceal": True}, 9: {"strike": True},
    21: {"underline": "double"}, 22: {"bold": False, "dim": False}, 23: {"italic": False}, 24: {"underline": ""},
    25: {"blink": False}, 27: {"reverse": False}, 28: {"conceal": False}, 29: {"strike": False},
    39: {"foreground": "default"}, 49: {"background": "default"}, 53: {"overline": True}, 55: {"overline": False},
    59: {"underline_color": "default"},
    **{30 + n: {"foreground": _PALETTE[n]} for n in range(8)},
    **{40 + n: {"background": _PALETTE[n]} for n in range(8)},
    **{90 + n: {"foreground": _PALETTE[8 + n]} for n in range(8)},
    **{100 + n: {"background": _PALETTE[8 + n]} for n in range(8)},
}  # fmt: skip
_COLOURS: Final = {38: "foreground", 48: "background", 58: "underline_color"}
_FIELDS: Final = tuple(field.name for field in fields(Style))
_CLEARED: Final[dict[str, object]] = {
    field.name: field.default for field in fields(Style) if not field.name.startswith("link")
}


def apply_sgr(style: Style, parameters: str) -> Style:
    """``style`` after ``CSI parameters m``. What is unknown, cut short or out of range changes nothing."""
    changes: dict[str, object] = {}
    remaining = iter(parameters.split(";")[:_MAX_PARAMETERS])
    for parameter in remaining:
        if ":" in parameter:
            changes.update(_colon_form(parameter.split(":")))
            continue
        number = int(parameter or 0)
        if number == 0:
            changes.update(_CLEARED)
        elif number in _COLOURS:
            changes.update(_semicolon_colour(_COLOURS[number], remaining))
        else:
            changes.update(_SIMPLE.get(number, {}))
    if not changes:
        return style
    # dataclasses.replace takes three times as long, and a stream of true colours comes here for every colour.
    values = [changes.get(name, getattr(style, name)) for name in _FIELDS]
    return Style(*values)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def _semicolon_colour(target: str, remaining: Iterator[str]) -> dict[str, object]:
    """``38;5;n`` and ``38;2;r;g;b``: takes what it needs from ``remaining``."""
    kind = next(remaining, "")
    wanted = {"5": 1, "2": 3}.get(kind, 0)
    return _colour(target, kind, [next(remaining, "x") for _ in range(wanted)])


def _colon_form(parts: list[str]) -> dict[str, object]:
    """``4:3``, ``38:5:n``, ``38:2::r:g:b`` (ITU T.416) and the older ``38:2:r:g:b``."""
    if parts[0] == "4" and len(parts) == 2 and parts[1].isdigit() and int(parts[1]) < len(_UNDERLINES):
        return {"underline": _UNDERLINES[int(parts[1])]}
    target = _COLOURS.get(int(parts[0]) if parts[0].isdigit() else 0)
    if target is None:
        return {}
    kind, values = parts[1], parts[2:]
    if kind == "2" and len(values) >= 4:
        values = values[1:4]
    return _colour(target, kind, values)


def _colour(target: str, kind: str, values: list[str]) -> dict[str, object]:
    if any(value and not value.isdigit() for value in values):
        return {}
    numbers = [int(value or 0) for value in values]
    if any(number > 255 for number in numbers):
        return {}
    if kind == "5" and len(numbers) == 1:
        return {target: _PALETTE[numbers[0]]}
    if kind == "2" and len(numbers) == 3:
        return {target: "#{:02x}{:02x}{:02x}".format(*numbers)}
    return {}


def sgr(style: Style) -> str:
    """The sequence that sets ``style``, without its link, whatever the style was before."""
    return _sgr(replace(style, link="", link_id="") if style.link else style)  # a cache must not keep links


@lru_cache(maxsize=_MAX_CACHED)
def _sgr(style: Style) -> str:
    codes = ["0"]
    for name, code in (("bold", 1), ("dim", 2), ("italic", 3), ("blink", 5), ("reverse", 7), ("conceal", 8),
                       ("strike", 9), ("overline", 53)):  # fmt: skip
        if getattr(style, name):
            codes.append(str(code))
    if style.underline:
        form = _UNDERLINES.index(style.underline)
        # The plain form where it says enough: not every terminal reads the colon form.
        codes.append("4" if form == 1 else f"4:{form}")
    codes += [
        _colour_code(code, value)
        for code, value in ((38, style.foreground), (48, style.background), (58, style.underline_color))
        if value != "default"
    ]
    return f"\x1b[{';'.join(codes)}m"


def _colour_code(code: int, value: str) -> str:
    # An underline colour with semicolons would be misread by terminals that do not know 58: 5 is blink there.
    between = ":" if code == 58 else ";"
    if value.startswith("#"):
        values = [str(int(value[at : at + 2], 16)) for at in (1, 3, 5)]
        return between.join([str(code), "2", *([""] if code == 58 else []), *values])
    number = int(value[len("color(") : -1])
    if number < 16 and code != 58:
        return str(code - 8 + number if number < 8 else code + 52 + number - 8)
    return between.join([str(code), "5", str(number)])
