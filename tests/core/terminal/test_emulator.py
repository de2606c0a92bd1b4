"""The emulator's face, control function by control function."""

from __future__ import annotations

import pytest

from sandtop.core.errors import InvalidRequest
from sandtop.core.terminal import Cell, Cursor, Emulator, Style


def fed(data: str | bytes, columns: int = 20, rows: int = 5, scrollback: int = 100) -> Emulator:
    emulator = Emulator(columns, rows, scrollback)
    emulator.feed(data.encode() if isinstance(data, str) else data)
    return emulator


def lines(emulator: Emulator) -> list[str]:
    return emulator.text().split("\n")


def place(emulator: Emulator) -> tuple[int, int]:
    return emulator.cursor.row, emulator.cursor.column


def test_text_lands_where_it_is_written() -> None:
    emulator = fed("hello\r\n  wörld\x1b[4;3Hx")
    assert lines(emulator) == ["hello", "  wörld", "", "  x", ""]
    assert emulator.cursor == Cursor(3, 3, visible=True, pending_wrap=False, shape="block", blinking=False)


@pytest.mark.parametrize(
    ("sequence", "style"),
    [
        ("1", Style(bold=True)),
        ("2;3;5;7", Style(dim=True, italic=True, blink=True, reverse=True)),
        ("8;9;53", Style(conceal=True, strike=True, overline=True)),
        ("31;42", Style(foreground="color(1)", background="color(2)")),
        ("97;100", Style(foreground="color(15)", background="color(8)")),
        ("38;5;200;48;5;17", Style(foreground="color(200)", background="color(17)")),
        ("38:5:200", Style(foreground="color(200)")),
        ("38;2;1;2;3", Style(foreground="#010203")),
        ("38:2:1:2:3", Style(foreground="#010203")),
        ("48:2::1:2:255", Style(background="#0102ff")),
        ("4", Style(underline="single")),
        ("21", Style(underline="double")),
        ("4:3;58:2::255:0:0", Style(underline="curly", underline_color="#ff0000")),
        ("4:4;58;5;9", Style(underline="dotted", underline_color="color(9)")),
        ("4:3;4:0", Style()),
        ("1;2;22", Style()),
        ("1;31;0", Style()),
        ("1;;3", Style(italic=True)),
        ("38;5", Style()),
        ("38;5;256", Style()),
        ("38;2;1;2", Style()),
        ("999;1", Style(bold=True)),
        (";".join(["1"] * 1000), Style(bold=True)),
    ],
)  # fmt: skip
def test_sgr(sequence: str, style: Style) -> None:
    assert fed(f"\x1b[{sequence}mx").cell(0, 0) == Cell("x", 1, style)


def test_a_cell_names_its_attributes() -> None:
    cell = fed("\x1b[1;4:3;31mx").cell(0, 0)
    assert (cell.text, cell.width, cell.foreground, cell.background) == ("x", 1, "color(1)", "default")
    assert cell.attributes == {"bold", "underline"}


def test_identical_cells_are_one_object() -> None:
    emulator = fed("\x1b[31mabca")
    assert emulator.cell(0, 0) is emulator.cell(0, 3)


def test_the_wrap_waits_for_the_next_character() -> None:
    emulator = fed("x" * 20)
    assert (place(emulator), emulator.cursor.pending_wrap) == ((0, 19), True)
    emulator.feed(b"y")
    assert (place(emulator), emulator.cursor.pending_wrap) == ((1, 1), False)


@pytest.mark.parametrize(
    ("sequence", "where", "pending"),
    [
        ("\r", (0, 0), False), ("\n", (1, 19), False), ("\b", (0, 18), False), ("\t", (0, 19), True),
        ("\x1b[D", (0, 18), False), ("\x1b[A", (0, 19), False), ("\x1b[K", (0, 19), False),
        ("\x1b[1m", (0, 19), True), ("\x1b7\x1b[H\x1b8", (0, 19), True), ("\x1b[I", (0, 19), True),
    ],
)  # fmt: skip
def test_what_ends_a_pending_wrap(sequence: str, where: tuple[int, int], pending: bool) -> None:
    emulator = fed("x" * 20 + sequence)
    assert (place(emulator), emulator.cursor.pending_wrap) == (where, pending)


def test_without_autowrap_the_last_column_is_overprinted() -> None:
    assert lines(fed("\x1b[?7l" + "x" * 25 + "yz"))[:2] == ["x" * 19 + "z", ""]


@pytest.mark.parametrize(
    ("text", "width"),
    [("中", 2), ("é", 1), ("e\u0301", 1), ("👍", 2), ("👩\u200d👩\u200d👧", 2), ("❤\ufe0f", 2), ("🇩🇪", 2), ("👍🏽", 2),
     ("ｱ", 1), ("─", 1), ("\ue0b0", 1)],
)  # fmt: skip
def test_a_grapheme_is_one_cell(text: str, width: int) -> None:
    emulator = fed(text + "|")
    assert (emulator.cell(0, 0).text, emulator.cell(0, 0).width) == (text, width)
    assert emulator.cell(0, width).text == "|"
    assert lines(emulator)[0] == text + "|"


def test_half_of_a_wide_character_does_not_stay() -> None:
    assert lines(fed("中文\x1b[1;2Hx"))[0] == " x文"
    assert lines(fed("中文\x1b[1;3Hx"))[0] == "中x"
    assert lines(fed("中文\x1b[1;2H\x1b[P"))[0] == " 文"
    assert lines(fed("中文\x1b[1;2H\x1b[@"))[0] == "   文"
    assert lines(fed("中文\x1b[1;2H\x1b[X"))[0] == "  文"


def test_a_wide_character_does_not_straddle_the_margin() -> None:
    assert lines(fed("x" * 19 + "中"))[:2] == ["x" * 19, "中"]
    assert lines(fed("x" * 19 + "❤\ufe0f"))[:2] == ["x" * 19, "❤\ufe0f"]


def test_format_controls_take_no_room_and_do_not_stay() -> None:
    # U+202E would turn around what an operator reads.
    assert lines(fed("ab\u200b\u202ecd"))[0] == "abcd"


def test_combining_marks_are_bounded() -> None:
    assert len(fed("e" + "\u0301" * 1000).cell(0, 0).text) <= 16


def test_erasing_keeps_the_background_colour() -> None:
    emulator = fed("\x1b[1;44mab\x1b[K")
    assert emulator.cell(0, 5) == Cell(" ", 1, Style(background="color(4)"))


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("\x1b[2;3H\x1b[K", ["abcde", "ab", "abcde"]),
        ("\x1b[2;3H\x1b[1K", ["abcde", "   de", "abcde"]),
        ("\x1b[2;3H\x1b[2K", ["abcde", "", "abcde"]),
        ("\x1b[2;3H\x1b[J", ["abcde", "ab", ""]),
        ("\x1b[2;3H\x1b[1J", ["", "   de", "abcde"]),
        ("\x1b[2J", ["", "", ""]),
        ("\x1b[2;2H\x1b[2X", ["abcde", "a  de", "abcde"]),
        ("\x1b[2;2H\x1b[2P", ["abcde", "ade", "abcde"]),
        ("\x1b[2;2H\x1b[2@", ["abcde", "a  bcde", "abcde"]),
        ("\x1b[2;2H\x1b[L", ["abcde", "", "abcde"]),
        ("\x1b[2;2H\x1b[M", ["abcde", "abcde", ""]),
        ("\x1b[S", ["abcde", "abcde", ""]),
        ("\x1b[T", ["", "abcde", "abcde"]),
        ("\x1b[H\x1bM", ["", "abcde", "abcde"]),
        ("\x1b[2;1H\x1b[4hX\x1b[4l", ["abcde", "Xabcde", "abcde"]),
        ("\x1b[2;1Hz\x1b[3b", ["abcde", "zzzze", "abcde"]),
        ("\x1b[2;1H\x1b[3b", ["abcde", "abcde", "abcde"]),
        ("\x1b[1;2r\x1b[2;1H\n", ["abcde", "", "abcde"]),
        ("\x1b[2;3r\x1b[?6h\x1b[1;1HX", ["abcde", "Xbcde", "abcde"]),
        ("\x1b[1;2A\x1b[1;2;3;4HX", ["aXcde", "abcde", "abcde"]),
    ],
)  # fmt: skip
def test_editing(sequence: str, expected: list[str]) -> None:
    assert lines(fed("abcde\r\nabcde\r\nabcde" + sequence, 20, 3)) == expected


def test_tab_stops() -> None:
    emulator = fed("\tx\x1b[1;4H\x1bH\r\ty\x1b[Iz\x1b[2Z!", 30)
    assert lines(emulator)[0] == "   !    z"
    assert place(fed("\x1b[3g\t")) == (0, 19)


def test_line_drawing_in_utf8() -> None:
    assert lines(fed("\x1b(0lqk\x1b(B lqk \x1b)0\x0exx\x0fx"))[0] == "┌─┐ lqk ││x"


def test_the_alternate_screen_has_a_buffer_of_its_own() -> None:
    emulator = fed("shell\x1b[?1049h\x1b[2;2Hprogram")
    assert lines(emulator)[1] == " program"
    assert emulator.modes.alternate_screen
    emulator.feed(b"\r\n" * 10 + b"\x1b[?1049l")
    assert lines(emulator)[0] == "shell"
    assert (place(emulator), emulator.scrollback_text()) == ((0, 5), "")


def test_saved_cursors() -> None:
    emulator = fed("\x1b[2;3H\x1b[1m\x1b7\x1b[H\x1b[m\x1b8x")
    assert emulator.cell(1, 2) == Cell("x", 1, Style(bold=True))
    assert place(fed("\x1b[2;3H\x1b[s\x1b[H\x1b[u")) == (1, 2)
    assert place(fed("\x1b[2;3H\x1b[?1048h\x1b[H\x1b[?1048l")) == (1, 2)


def test_modes_for_a_front_end() -> None:
    modes = fed("\x1b[?1;1002;1006;1004;2004;2026h\x1b=").modes
    assert (modes.application_cursor, modes.application_keypad, modes.bracketed_paste) == (True, True, True)
    assert (modes.mouse, modes.mouse_encoding, modes.focus_events, modes.synchronized) == (
        "drag",
        "sgr",
        True,
        True,
    )
    assert fed("\x1b[?1002h\x1b[?1000h").modes.mouse == "click"
    assert fed("\x1b[?1003h\x1b[?1000l").modes.mouse == ""


def test_cursor_style_and_visibility() -> None:
    cursor = fed("\x1b[5 q\x1b[?25l").cursor
    assert (cursor.shape, cursor.blinking, cursor.visible) == ("bar", True, False)


def test_titles_links_and_bells() -> None:
    emulator = fed(
        "\x1b]0;one\x07\x1b[22;0t\x1b]2;two\x1b\\\a\a\x1b]8;id=a;http://example.org\x1b\\x\x1b]8;;\x07y"
    )
    assert (emulator.title, emulator.bells) == ("two", 2)
    assert emulator.cell(0, 0).style == Style(link="http://example.org", link_id="a")
    assert emulator.cell(0, 1).style == Style()
    emulator.feed(b"\x1b[23;0t")
    assert emulator.title == "one"
    assert len(fed("\x1b]2;" + "x" * 4000 + "\x07").title) == 1024


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("\x1b[c", b"\x1b[?62;22c"), ("\x1b[>c", b"\x1b[>1;10;0c"), ("\x1b[=c", b"\x1bP!|00000000\x1b\\"),
        ("\x1b[5n", b"\x1b[0n"), ("\x1b[2;3H\x1b[6n", b"\x1b[2;3R"), ("\x1b[?6n", b"\x1b[?1;1R"),
        ("\x1b[?2004$p", b"\x1b[?2004;2$y"), ("\x1b[?25$p", b"\x1b[?25;1$y"), ("\x1b[?12345$p", b"\x1b[?9999;0$y"),
        ("\x1b[4$p", b"\x1b[4;2$y"), ("\x1b[?1049h\x1b[?1049$p", b"\x1b[?1049;1$y"),
        ("\x1b[>q", b"\x1bP>|sandtop\x1b\\"),
        ("\x1b]11;?\x07", b"\x1b]11;rgb:0000/0000/0000\x07"), ("\x1b]10;?\x1b\\", b"\x1b]10;rgb:d0d0/d0d0/d0d0\x1b\\"),
        ("\x1b[18t", b"\x1b[8;5;20t"), ("\x1b[21t", b""), ("\x1b]52;c;?\x07", b""), ("\x1b[?u", b""),
        ("\x1b[2;4r\x1b[?6h\x1b[6n", b"\x1b[1;1R"),
    ],
)  # fmt: skip
def test_answers(question: str, answer: bytes) -> None:
    emulator = fed(question)
    assert emulator.take_replies() == answer
    assert emulator.take_replies() == b""


def test_replies_are_bounded() -> None:
    assert len(fed("\x1b[c" * 100_000).take_replies()) <= 1 << 16


@pytest.mark.parametrize(
    "swallowed",
    [
        "\x1b[>4;2m", "\x1b[?4m", "\x1b[>1u", "\x1b[<u", "\x1b[=1;2u", "\x1b[=1c", "\x1bPq#0;2;0;0;0#0~~\x1b\\",
        "\x1b_Gf=24;payload\x1b\\", "\x1b^private\x1b\\", "\x1bXstring\x1b\\", "\x1b]104\x07", "\x1b]133;A\x07",
        "\x1b]52;c;aGk=\x07", "\x1b[12;24;5;9;10z", "\x1b%G", "\x1b F", "\x1b[!0p", "\x1b[1$w", "\x1bP+q544e\x1b\\",
        "\x1b[?1$q", "\x00", "\x7f", "\x1b]11;#123456\x07", "\x1b[2;3$r", "\x1b[ @",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_swallowed(swallowed: str) -> None:
    before, after = fed("a"), fed("a" + swallowed)
    assert (after.text(), after.cursor, after.modes) == (before.text(), before.cursor, before.modes)
    after.feed(b"b")
    assert after.cell(0, 1) == Cell("b", 1, Style())


def test_broken_off_sequences() -> None:
    assert lines(fed("a\x1b[3\x18b\x1b[3\x1ac\x1b[\x1b[1md\x1b]0;t\x1b[me"))[0] == "abcde"
    assert lines(fed("a\x1b[2\rCb"))[0] == "a b"
    assert lines(fed(b"a\xc2\xff\xf0\x9f\x92b"))[0] == "a\ufffd\ufffd\ufffdb"
    assert fed("\x9b31mx\x9d2;title\x9c".encode()).cell(0, 0).foreground == "color(1)"


def test_sane_again_after_reset() -> None:
    garbage = bytes(range(256)) * 20
    emulator = fed(garbage + b"\x18\x1b\\\x1bc")
    emulator.take_replies()
    fresh = fed("\x1bc")
    emulator.feed(b"hello \x1b[31mworld")
    fresh.feed(b"hello \x1b[31mworld")
    assert emulator.state() == fresh.state()


def test_soft_reset_keeps_the_text() -> None:
    emulator = fed("text\x1b[4h\x1b[?6h\x1b[?25l\x1b[1m\x1b[2;3r\x1b[!p")
    assert lines(emulator)[0] == "text"
    modes = emulator.modes
    assert (modes.insert, modes.origin, emulator.cursor.visible) == (False, False, True)
    assert emulator.state().margins == (0, 4)


def test_scrollback_keeps_the_newest_rows() -> None:
    emulator = fed("".join(f"{number}\r\n" for number in range(50)), scrollback=10)
    assert emulator.scrollback_text().split("\n") == [str(number) for number in range(36, 46)]
    assert emulator.scrollback_rows == 10
    assert emulator.scrolled == 46
    assert emulator.runs(-1)[0][0].rstrip() == "45"
    emulator.feed(b"\x1b[3J")
    assert emulator.scrollback_text() == ""


def test_lines_of_a_flood_are_the_same_as_lines_one_by_one() -> None:
    text = "".join(
        f"\x1b[3{number % 8}m{number}\t{'long ' * (number % 9)}\x1b[1mbold\x1b[K\x1b[0m é中 {'─' * number}\r\n"
        for number in range(60)
    ).encode()
    whole, single = fed(text), fed("")
    for at in range(len(text)):
        single.feed(text[at : at + 1])
    assert whole.state() == single.state()


@pytest.mark.parametrize(
    "odd", ["👍" * 30, "wide 中\t tab", "\x1b[2;2Hmoved", "bell\x07", "x" * 70, "\x1b[31m" + "y" * 70]
)
@pytest.mark.parametrize("scrollback", [0, 3, 100])
def test_a_flood_with_lines_that_cannot_stay_raw(odd: str, scrollback: int) -> None:
    text = ("\x1b[32mold\r\n" * 40 + odd + "\r\n" + "new\r\n" * 3 + odd + "\r\nend").encode() * 3
    whole, single = fed(text, scrollback=scrollback), fed("", scrollback=scrollback)
    for at in range(len(text)):
        single.feed(text[at : at + 1])
    assert whole.state() == single.state()
    if scrollback == 100:
        assert whole.scrolled == single.scrolled


def test_runs_and_dirty_rows_serve_a_widget() -> None:
    emulator = fed("ab\x1b[1mcd")
    assert emulator.runs(0) == [("ab", Style()), ("cd", Style(bold=True)), (" " * 16, Style())]
    emulator.dirty.clear()
    emulator.feed(b"\x1b[3;1Hx\x1b[1mmore\x1b[H")
    assert emulator.dirty == {2}
    emulator.feed(b"\x1b[5;1H\n")
    assert emulator.dirty == set(range(5))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5), (100_000, 5)])
def test_senseless_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidRequest):
        Emulator(*size)
    with pytest.raises(InvalidRequest):
        Emulator().resize(*size)


def test_a_cell_outside_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        Emulator(20, 5).cell(5, 0)


def test_resize_wraps_anew_and_back() -> None:
    emulator = fed("a line that is longer than twenty columns\r\nshort\r\nprompt $ ", 20, 5)
    before = emulator.state()
    emulator.resize(50, 5)
    assert lines(emulator)[:3] == ["a line that is longer than twenty columns", "short", "prompt $"]
    assert place(emulator) == (2, 9)
    emulator.resize(20, 5)
    assert emulator.state() == before


def test_resize_moves_rows_into_the_scrollback_and_back() -> None:
    emulator = fed("\r\n".join(map(str, range(8))), 20, 8)
    emulator.resize(20, 3)
    assert (lines(emulator), emulator.scrollback_text()) == (["5", "6", "7"], "0\n1\n2\n3\n4")
    emulator.resize(20, 8)
    assert (lines(emulator), emulator.scrollback_text()) == ([str(n) for n in range(8)], "")


def test_resize_keeps_wide_characters_whole_and_the_cursor_in_place() -> None:
    emulator = fed("ab中文字x\x1b[D", 20, 5)
    emulator.resize(5, 5)
    assert lines(emulator)[:2] == ["ab中", "文字x"]
    assert place(emulator) == (1, 4)
    emulator.resize(20, 5)
    assert lines(emulator)[0] == "ab中文字x"


def test_the_alternate_screen_does_not_reflow_but_the_primary_one_does() -> None:
    emulator = fed("a long line of the shell $ \x1b[?1049h\x1b[H" + "y" * 30, 20, 5)
    emulator.resize(40, 5)
    assert lines(emulator)[:2] == ["y" * 20, "y" * 10]
    emulator.feed(b"\x1b[?1049l")
    assert lines(emulator)[0] == "a long line of the shell $"
    assert place(emulator) == (0, 27)
