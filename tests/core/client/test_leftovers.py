"""What a program leaves switched on in the operator's terminal: nothing, in our emulator and in a real tmux."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.client.session import resets
from sandtop.core.client.session.leftovers import Leftovers
from sandtop.core.terminal import Emulator

from ..terminal.oracles import Tmux

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[3] / "docs" / "terminal.md"

HARM = [
    b"\x1b[?1049h", b"\x1b[?47h", b"\x1b[?1;5;7;25;66h\x1b[?7l\x1b[?25l", b"\x1b[?1002;1006h",
    b"\x1b[?1003h\x1b[?1016h", b"\x1b[?1004;2004;2026h", b"\x1b[?9h\x1b[?1015h", b"\x1b[?2031;2048;9001h",
    b"\x1b=", b"\x1b[4h", b"\x1b[20h", b"\x1b[5;10r", b"\x1b[?6h", b"\x1b[5;10r\x1b[?6h", b"\x1b[1;4;31;45m",
    b"\x1b[4 q", b"\x1b(0", b"\x1b)0\x0e", b"\x1bn", b"\x1b]8;;https://example.org\x1b\\", b"\x1b[>4;2m",
    b"\x1b[>1u", b"\x1b[=5u\x1b[?1049h\x1b[>31u", b"\x1b[3g", b"\x1b[3g\x1b[4G\x1bH", b"\x1b7\x1b[H\x1b7",
    b"\x1b]0;mine\x07", b"\x1b[22t\x1b]2;mine\x07", b"\x1b[?1007h", b"\x1b[?10\r03h", b"\xc2\x9b?1049h", b"\x1bP",
    b"\x1bPq~", b"\x1b_Ga=T;AAAA", b"\x1b^", b"\x1bX", b"\x1b]2;x", b"\x1b]8;;", b"\x1bPq\x1b", b"\x1b[31",
    b"\x1b", b"\xe2\x80", b"\xf0",
]  # fmt: skip


def shown(sequence: bytes) -> str:
    """A control sequence as the documents write it."""
    text = sequence.decode().replace("\x18", " CAN ").replace("\x0f", " SI ").replace("|", "\\|")
    return text.replace("\x1b", " ESC ").replace("  ", " ").strip()


def document() -> list[str]:
    """The rows of the table in docs/terminal.md."""
    touched = "where output touched it: "
    rows = [*resets.END]
    rows.append((resets.ENTER + resets.LEAVE, "the alternate screen, whichever shows: entered, then left"))
    rows += [*resets.ALTERNATE, *resets.MAIN]
    rows += [(sequence, touched + what) for sequence, what in resets.TOUCHED.values()]
    rows.append((resets.POP, touched + "titles, of which the operator's own is the lowest"))
    modes = ", ".join(str(mode) for mode in sorted(resets.PREFERRED))
    rows.append(
        (b"\x1b[?Nl\x1b[?Nr", f"{touched}a mode whose usual state is the user's choice; N is {modes}")
    )
    return [f"| {what} | `{shown(sequence)}` |" for sequence, what in rows]


def test_the_documents_have_the_whole_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for row in document():
        assert row in text
    _, _, section = text.partition("## What an attach leaves behind")
    assert section.count("\n| ") == len(document()) + 1


def usual(emulator: Emulator) -> dict[str, object]:
    """All that decides how a terminal goes on, but for what is saved and where the cursor is."""
    state = emulator.state()
    return {
        "modes": state.mode_numbers,
        "margins": state.margins,
        "tabs": state.tab_stops,
        "charsets": (state.charsets, state.charset),
        "style": (state.style, state.cursor_style, state.cursor.visible),
        "keyboard": state.keyboard,
        "unfinished": state.unfinished,
        "title": emulator.title,
        "alternate": state.modes.alternate_screen,
    }


def after(pieces: list[bytes], cut: int) -> tuple[Emulator, Emulator]:
    """A terminal as it was before ``pieces`` came, and as it is after leaving."""
    before, then, leftovers = Emulator(), Emulator(), Leftovers()
    for emulator in (before, then):
        emulator.feed(b"\x1b]2;shell\x07$ sandtop attach box\r\n")
    data = b"".join(pieces)
    for at in range(0, len(data), cut):
        then.feed(leftovers.feed(data[at : at + cut]))
    then.feed(leftovers.undo(80))
    then.take_replies()
    return before, then


@given(st.lists(st.sampled_from(HARM), max_size=6), st.integers(1, 9))
def test_a_terminal_is_as_usual_again(pieces: list[bytes], cut: int) -> None:
    before, then = after(pieces, cut)
    assert usual(then) == usual(before)


@pytest.mark.parametrize("piece", HARM)
def test_each_alone_and_the_cursor_stays(piece: bytes) -> None:
    before, then = after([piece], 100)
    assert usual(then) == usual(before)
    if not any(moves in piece for moves in (b"\x1b[H", b"?6h", b"r", b"[4G", b"?47h")):  # 47 keeps no cursor
        assert (then.cursor.row, then.cursor.column) == (before.cursor.row, before.cursor.column)
        assert then.text() == before.text()


def test_keys_of_both_screens_are_forgotten() -> None:
    """Also where the program pushed more than it popped, on either."""
    _, then = after([b"\x1b[>5u" * 3, b"\x1b[?1049h", b"\x1b[>31u" * 9], 1000)
    assert then.state().keyboard == ((), (), ())


def test_linux_console_keeps_the_cursor() -> None:
    """It has no second screen, so that margins would send the cursor home."""
    console, other = Leftovers(term="linux"), Leftovers(term="xterm")
    for leftovers in (console, other):
        leftovers.feed(b"\x1b[31m")
    undo = console.undo()
    assert undo.index(b"\x1b7") < undo.index(b"\x1b[r") < undo.index(b"\x1b8")
    assert b"\x1b7" not in other.undo()


def test_plain_text_leaves_nothing_to_undo() -> None:
    leftovers = Leftovers()
    leftovers.feed("plain text \xe9 漢\r\n\t\a".encode())
    assert leftovers.undo() == b""
    for more in (b"\x1b[31m", b"\x0e", b"\xc2\x9b31m", b"\x9b31m", b"\x1b", b"\x1b[5i"):
        leftovers = Leftovers()
        leftovers.feed(b"plain" + more)
        assert leftovers.undo() != b""
    leftovers = Leftovers(term="dumb")
    leftovers.feed(b"\x1b[31m\x1b[c")
    assert leftovers.undo() == b""
    assert not leftovers.asked


def test_colours_are_put_back_only_where_output_touched_them() -> None:
    leftovers = Leftovers()
    leftovers.feed(b"\x1b[31mred")
    assert b"\x1b]104" not in leftovers.undo()
    leftovers.feed(b"\x1b]11;#000000\x07")
    assert b"\x1b]104" in leftovers.undo()
    assert b"\x1b]111" in leftovers.undo()


FLAGS = [
    "alternate_on", "cursor_flag", "insert_flag", "keypad_cursor_flag", "keypad_flag", "mouse_all_flag",
    "mouse_any_flag", "mouse_button_flag", "mouse_sgr_flag", "mouse_standard_flag", "mouse_utf8_flag", "origin_flag",
    "pane_tabs", "pane_title", "scroll_region_lower", "scroll_region_upper", "wrap_flag",
]  # fmt: skip


@pytest.fixture(scope="module")
def tmux() -> Iterator[Tmux]:
    with Tmux() as server:
        yield server


def flags(tmux: Tmux, data: bytes) -> dict[str, str]:
    """What a real pane says of itself after ``data``, and what it shows then."""
    screen = tmux.show(data, 80, 24, " ".join(f"{flag}=#{{{flag}}}" for flag in FLAGS))
    return {"flags": tmux.told, "row": str(screen.cursor[0]), "text": screen.text()}


@pytest.mark.parametrize("piece", [b"".join(HARM[:29]), *HARM[31:], b"\x1b[?1049h\x1b[?1003h\x1bP\x1b_G"])
def test_a_real_terminal_agrees(tmux: Tmux, piece: bytes) -> None:
    """Even without a gate: whatever arrived."""
    start = b"\x1b]2;shell\x07$ sandtop attach box\r\n"
    leftovers = Leftovers()
    leftovers.gate.titles, leftovers.gate.plain = 1, False  # as a gate that passes a title has it
    # a tmux that draws images (3.5 of Debian 13) goes on in the row below this one
    image = piece + b"\x1b\\" if piece == b"\x1bPq~" else b""
    usual = flags(tmux, start + image + b"\r\nVISIBLE$ ")
    assert flags(tmux, start + b"\x1b[22;0t" + piece + leftovers.undo(80) + b"\r\nVISIBLE$ ") == usual
