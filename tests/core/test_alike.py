"""Members that ended alike and wrote the same are one group; differences are shown against the largest."""

from __future__ import annotations

import time

from sandtop.core.alike import Written, difference, grouped, headline


def written(text: str, ended: str = "exit 0", err: str = "") -> Written:
    return Written(ended, text.encode(), err.encode(), (len(text), len(err)))


def test_the_largest_group_comes_first() -> None:
    members = [
        ("a", written("1\n")),
        ("b", written("2\n")),
        ("c", written("2\n")),
        ("d", written("", "exit 3", "boom\n")),
    ]
    groups = grouped(members)
    assert [group.names for group in groups] == [("b", "c"), ("a",), ("d",)]
    assert headline(groups) == "3 exit 0 · 1 exit 3 · 2 differ"
    assert headline(groups[:1], pending=4) == "2 exit 0 · 4 pending"
    assert headline([]) == ""
    assert groups[2].written.lines == ["! boom"]


def test_the_same_text_with_another_end_or_length_is_another_group() -> None:
    kept = b"x" * 10
    members = [
        ("a", Written("exit 0", kept, b"", (10, 0))),
        ("b", Written("exit 0", kept, b"", (11, 0))),
        ("c", Written("exit 1", kept, b"", (10, 0))),
    ]
    groups = grouped(members)
    assert len(groups) == 3
    assert [group.written.cut for group in groups] == [False, True, False]
    assert difference(groups[1].written, groups[0].written) == ["(the rest differs)"]
    assert difference(groups[2].written, groups[0].written) == []


def test_what_differs() -> None:
    usual, other = written("one\ntwo\nthree\nfour\nfive\n"), written("one\ntwo\n3\nfour\nfive\n")
    assert difference(other, usual) == ["@@ -2,3 +2,3 @@", " two", "-three", "+3", " four"]


def test_hostile_outputs_are_compared_in_a_bounded_time() -> None:
    some = written("".join(f"{number % 7}{'ab' * (number % 3)}\n" for number in range(30_000)))
    other = written("".join(f"{number % 5}{'ba' * (number % 4)}\n" for number in range(30_000)))
    long = written("x" * 60_000), written("y" * 60_000)
    begun = time.process_time()
    assert difference(some, other)
    assert max(map(len, difference(*long))) < 1100
    assert time.process_time() - begun < 5
