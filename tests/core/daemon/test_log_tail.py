"""The last lines of a log, and how many bytes of them at the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.daemon.logs import last_lines
from sandtop.core.sessions.log import SessionLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("lines", "most", "expected"),
    [
        (2, None, b"three\nfour\n"),
        (9, None, b"one\ntwo\nthree\nfour\n"),
        (9, 7, b"e\nfour\n"),
        (2, 1000, b"three\nfour\n"),
    ],
)
def test_the_last_lines(tmp_path: Path, lines: int, most: int | None, expected: bytes) -> None:
    with SessionLog(tmp_path / "log") as log:
        for line in (b"one\n", b"two\n", b"three\n", b"four\n"):
            log.append(1, line)
        pieces = trio.run(last_lines, log, {1, 2}, lines, None, most)
        assert b"".join(log.read(p.stream, p.start, p.end - p.start) for p in pieces) == expected


def test_a_log_without_lines_costs_no_more_than_what_is_asked(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log") as log:
        log.append(1, b"x" * (4 << 20))
        (piece,) = trio.run(last_lines, log, {1, 2}, 50, None, 4096)
        assert (piece.start, piece.end) == ((4 << 20) - 4096, 4 << 20)
