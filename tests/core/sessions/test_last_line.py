"""The last line of a session's output, for lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.core.sessions.last_line import LastLine, last_line_of
from sandtop.core.sessions.log import SessionLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (b"", ""),
        (b"\n\n  \n", ""),
        (b"one\ntwo\n\n", "two"),
        (b"one\r\ntwo, no end yet", "two, no end yet"),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07text\n", "red text"),
        (b"10%\r50%\r100%", "100%"),
        (b"a\tb\x00\x07c\xff\n", "a bc�"),
        (b"cut short \x1b]0;a title that never", "cut short"),
        ("left‮right\n".encode(), "leftright"),
        (b"\x1b[2J\x1b[1;1Htop\x1b[5;1Hrow", ""),
        (b"\x1b[?1049h vim", ""),
        (b"x" * 1000, "x" * 200),
    ],
)
def test_a_line_for_a_list(written: bytes, line: str) -> None:
    assert last_line_of(written) == line


def test_it_is_of_the_stream_that_wrote_last(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log") as log:
        last = LastLine(log)
        assert last.text == ""
        log.append(1, b"begun\n")
        assert last.text == "begun"
        log.append(2, b"a warning\n")
        assert last.text == "a warning"
        log.append(1, b"done\n")
        assert last.text == "done"
        log.append(1, b"\n")
        assert last.text == "done"


def test_a_log_that_is_gone(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log") as log:
        log.append(1, b"x" * 200_000)
        last = LastLine(log)
        log.clear()
        assert last.text == ""
