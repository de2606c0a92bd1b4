"""What guests say is made harmless, and numbers are short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sandtop.tui.ansi import plain, styled
from sandtop.tui.text import age, command_line, neutral, rate, size, sparkline
from sandtop.tui.widgets.cells import Column, fit, place


def shown(line: bytes) -> str:
    return "".join(text for text, _ in styled(line))


@given(st.text(max_size=300))
def test_neutral_text_is_one_printable_line(text: str) -> None:
    shown = neutral(text)
    assert shown.isprintable()
    assert neutral(shown) == shown


@given(st.binary(max_size=400))
def test_a_log_line_shows_nothing_that_a_terminal_obeys(line: bytes) -> None:
    line = line.replace(b"\n", b"")
    assert plain(line).isprintable()
    assert shown(line).isprintable()


@given(
    st.lists(
        st.sampled_from(
            [b"\x1b[31m", b"\x1b]0;t\x07", b"\x1b[2J", b"\x1b]8;;http://e\x1b\\", b"ab", b"\xe2\x80\xae"]
        )
    )
)
def test_filters_and_eyes_read_the_same(parts: list[bytes]) -> None:
    line = b"".join(parts)
    assert plain(line) == shown(line) == "ab" * parts.count(b"ab")


def test_neutral_shows_what_it_took_out() -> None:
    assert neutral("a\x1b[2J\x07b") == "a␛[2J␇b"
    assert neutral("x\u202ey") == "x�y"
    assert neutral("e" + "\u0301" * 50).count("\u0301") == 4


def test_colours_stay() -> None:
    pieces = styled(b"\x1b[31mred\x1b[0m \x1b[1;38;5;120mbold")
    assert [text for text, _ in pieces] == ["red", " ", "bold"]
    assert [style and (style.color and style.color.name, style.bold) for _, style in pieces] == [
        ("color(1)", None), None, ("color(120)", True),
    ]  # fmt: skip


def test_nothing_blinks_or_hides() -> None:
    [(text, style)] = styled(b"\x1b[5;8mseen")
    assert (text, style and style.blink, style and style.conceal) == ("seen", False, False)


def test_a_progress_bar_shows_its_last_state() -> None:
    assert plain(b"10%\r50%\r100%\r") == "100%"


def test_a_huge_line_is_cut_and_says_so() -> None:
    assert shown(b"x" * 100_000).endswith("83616 bytes more")


def test_command_lines_are_quoted() -> None:
    assert command_line(["sh", "-x", "-c", "echo 'a b'"]) == """sh -x -c 'echo '"'"'a b'"'"''"""


def test_a_script_for_a_shell_is_what_was_typed() -> None:
    assert (
        command_line(["/bin/sh", "-c", "for i in 1 2\ndo\techo $i\ndone\n"]) == "for i in 1 2 do echo $i done"
    )
    assert command_line(["bash", "-lc", "make \x1b[31m"]) == "make ␛[31m"
    assert command_line(["python3", "-c", "1"]) == "python3 -c 1"
    assert command_line(["/bin/sh", "-c", " "]) == "/bin/sh -c ' '"
    assert command_line([]) == "(files copied)"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0K"), (1536, "1.5K"), (12_000_000, "11M"), (5 << 40, "5.0T")],
)
def test_sizes(count: float, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0s"), (59, "59s"), (60, "1m"), (3700, "1h01"), (40_000, "11h"), (90_000, "1d")],
)
def test_ages(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


def test_rates_are_silent_when_nothing_comes() -> None:
    assert (rate(0), rate(12), rate(2048)) == ("", "12B/s", "2.0K/s")


def test_sparklines_end_with_the_newest() -> None:
    assert sparkline((0.0, 50.0, 100.0, 400.0), 100.0, 6) == "  ▁▅██"


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=40), st.integers(1, 30))
def test_fitted_text_has_just_the_width(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, "right")) == width


def test_columns_that_do_not_fit_go_by_rank() -> None:
    columns = (
        Column("a", "A", 10, most=30, rank=0),
        Column("b", "B", 10, rank=2),
        Column("c", "C", 10, rank=1),
    )
    assert [p.column.key for p in place(columns, 21, {"a": 10})] == ["a", "c"]
    wide = place(columns, 60, {"a": 15})
    assert [(p.column.key, p.width) for p in wide] == [("a", 15), ("b", 10), ("c", 10)]
