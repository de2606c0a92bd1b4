"""The console is as large as its terminal, whatever the environment says of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakecore import FakeCore, sandbox, session

from .real_terminal import COLUMNS, ROWS, Terminal

if TYPE_CHECKING:
    import pytest

DETAIL = "── events"
"""It is in the list's detail, for which a terminal of 80 by 24 has no room."""


def drawn(text: str, rows: int, columns: int) -> bool:
    """Whether a list fills a screen of that size: the clock at the right of its first line, the keys in its last."""
    lines = text.splitlines()
    return len(lines) == rows and len(lines[0]) > columns - 4 and "q quit" in lines[-1]


def test_it_is_as_large_as_its_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")  # of the shell, or of the test runner, that started it
    monkeypatch.setenv("LINES", "24")
    with FakeCore(sandbox("web"), sessions=(session("t", "web", "true"),)):
        terminal = Terminal()
        try:
            terminal.see(lambda text: drawn(text, ROWS, COLUMNS) and DETAIL in text)
            terminal.resize(terminal.master, 24, 80)
            terminal.shown.resize(80, 24)
            terminal.see(lambda text: drawn(text, 24, 80) and DETAIL not in text)
        finally:
            terminal.close()
