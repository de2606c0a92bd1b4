"""The ring of lines, and which of them show."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from sandtop.tui.stream.ring import MAX_LINE, NOTE, Ring
from sandtop.tui.widgets.log_lines import Budget, Pattern, ShownLines, compile_pattern


@given(st.binary(max_size=2000).map(lambda data: data.replace(b"\r", b"")), st.lists(st.integers(0, 2000)))
def test_lines_are_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    ring = Ring()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(edges):
        ring.take(1, data[start:end], start, 0.0)
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert [line.text for line in ring.forwards(0)] == expected
    assert [line.text for line in ring.backwards(ring.end)] == expected[::-1]


def test_memory_is_bounded_and_numbers_stay() -> None:
    ring = Ring(limit=200_000)
    for number in range(20_000):
        ring.take(1, b"line %d with some text to take room\n" % number, 0, None)
    assert ring.total == 20_000
    assert 0 < ring.first < 20_000
    oldest = ring.line(ring.first)
    assert oldest is not None
    assert oldest.text.startswith(b"line %d " % ring.first)
    assert ring.line(ring.first - 1) is None
    assert sum(len(line.text) for line in ring.forwards(0)) < 200_000


def test_streams_keep_their_own_unfinished_lines_and_times() -> None:
    ring = Ring()
    ring.take(1, b"out", 0, 1.0)
    ring.take(2, b"err\n", 0, 2.0)
    ring.take(1, b"put\n", 3, 3.0)
    found = [(line.stream, line.text, line.at) for line in ring.forwards(0)]
    assert found == [(2, b"err", 2.0), (1, b"output", 1.0)]


def test_a_note_ends_what_is_unfinished() -> None:
    ring = Ring()
    ring.take(1, b"half", 0, None)
    ring.note("gap", None)
    ring.take(1, b"more\n", 10, None)
    assert [(line.stream, line.text) for line in ring.forwards(0)] == [
        (1, b"half"),
        (NOTE, b"gap"),
        (1, b"more"),
    ]


def test_a_line_without_end_is_cut() -> None:
    ring = Ring()
    for _ in range(10):
        ring.take(1, b"x" * 50_000, 0, None)
    assert max(len(line.text) for line in ring.forwards(0)) <= MAX_LINE
    assert sum(len(line.text) for line in ring.forwards(0)) == 500_000


def shown(lines: ShownLines) -> list[bytes]:
    budget = Budget(10**9)
    forwards = [line.text for line in lines.forwards(0, budget)]
    assert [line.text for line in lines.backwards(lines.ring.end, budget)] == forwards[::-1]
    return forwards


def test_filters_stack_and_see_text_without_colours() -> None:
    ring = Ring()
    ring.take(1, b"\x1b[31mer\x1b[0mror one\nok two\nerror debug three\n", 0, None)
    ring.take(2, b"error four", 0, None)
    lines = ShownLines(ring)
    assert len(shown(lines)) == 4
    lines.patterns.append(Pattern(re.compile("error"), inverted=False))
    lines.reset()
    assert [text.split()[-1] for text in shown(lines)] == [b"one", b"three", b"four"]
    lines.patterns.append(Pattern(re.compile("debug"), inverted=True))
    lines.reset()
    assert [text.split()[-1] for text in shown(lines)] == [b"one", b"four"]
    lines.streams = "stderr"
    lines.reset()
    assert shown(lines) == [b"error four"]


def test_what_comes_later_is_filtered_too_and_a_budget_ends_the_look() -> None:
    ring = Ring()
    lines = ShownLines(ring)
    lines.patterns.append(Pattern(re.compile("7$"), inverted=False))
    for number in range(5000):
        ring.take(1, b"%d\n" % number, 0, None)
        if number == 100:
            assert len(shown(lines)) == 10
    assert len(shown(lines)) == 500
    lines.reset()
    assert len(list(lines.backwards(ring.end, Budget(1)))) < 5000


def test_small_letters_match_capitals_and_nonsense_is_taken_as_it_stands() -> None:
    assert compile_pattern("error").search("ERROR")
    assert not compile_pattern("Error").search("ERROR")
    assert compile_pattern("a(b").search("xa(by")
