"""A screen of the worker, on real logs: whatever is killed when, it comes to what an emulator shows that saw it all."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandtop.core.screens.look import BadPattern, Pattern, look
from sandtop.core.screens.screen import AnswererChanged, DrawnScreen, Resized
from sandtop.core.session_folder import MOST_BYTES, Checkpoint, StoredTerminal, TooLarge, load, save
from sandtop.core.sessions.log import SessionLog
from sandtop.core.sessions.tty import CLIENT_ANSWERS, Size, Tty
from sandtop.core.terminal import SCROLLBACK, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDINGS = sorted((Path(__file__).parents[1] / "terminal" / "recordings").glob("*-80x24.raw"))


def screen(folder: Path, replied: Callable[[int, bytes], None] = lambda _offset, _data: None) -> DrawnScreen:
    return DrawnScreen(folder, (24, 80), 0, replied)


def drain(one: DrawnScreen) -> None:
    while one.behind:
        one.advance()


@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    log, tty, whole = (
        SessionLog(tmp_path / "log"),
        Tty(tmp_path / "log", {"rows": 24, "columns": 80}),
        Emulator(),
    )
    whole = Emulator(80, 24, SCROLLBACK)
    one = screen(log.folder)
    with log:
        for path in dice.sample(RECORDINGS, 4):
            data = path.read_bytes()
            while data:
                size = dice.randrange(1, 20_000)
                piece, data = data[:size], data[size:]
                log.append(1, piece)
                whole.feed(piece)
                one.end = log.end(1)
                for _ in range(dice.randrange(3)):
                    if one.behind:
                        one.advance()
                if dice.random() < 0.2:
                    rows, columns = dice.randrange(5, 40), dice.randrange(20, 120)
                    if (changed := tty.resize(log.end(1), rows, columns)) is not None:
                        whole.resize(columns, rows)
                        one.note(event(changed))
                if dice.random() < 0.2:
                    one.save()
                if dice.random() < 0.1:
                    one.unload()
                if dice.random() < 0.1:  # a new life, which knows what is on disk
                    one = screen(log.folder)
                    one.end = log.end(1)
                    for size_then in Tty(log.folder, {"rows": 24, "columns": 80}).sizes[1:]:
                        one.note(event(size_then))
        drain(one)
        assert one.offset == log.end(1)
        assert one.emulator.state() == whole.state()


def event(size: Size) -> Resized:
    return Resized(size.offset, size.number, size.rows, size.columns)


def test_who_answers_goes_by_offset(tmp_path: Path) -> None:
    """Each question is answered by a client's terminal or by the worker, in whatever order they hear of it."""
    replies: list[tuple[int, bytes]] = []
    ask = b"\x1b[6n"
    with SessionLog(tmp_path / "log") as log:
        one = screen(log.folder, lambda offset, data: replies.append((offset, data)))
        log.append(1, ask)  # nobody is there
        one.end = log.end(1)
        one.note(AnswererChanged(log.end(1), client=True))
        log.append(1, b"a" + ask)  # a client's
        one.end = log.end(1)
        one.note(AnswererChanged(log.end(1), client=False))
        log.append(1, b"b" + ask)  # nobody again
        one.end = log.end(1)
        drain(one)
        assert replies == [(4, b"\x1b[1;1R"), (14, b"\x1b[1;3R")]
        again = DrawnScreen(log.folder, (24, 80), 14, lambda offset, data: replies.append((offset, data)))
        again.end = log.end(1)
        drain(again)
        assert len(replies) == 2


def test_what_fell_to_the_cap_is_missing(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log", cap=40_000) as log:
        for number in range(2000):
            log.append(1, b"line %04d, which is a bit longer\r\n" % number)
        one = screen(log.folder)
        one.end = log.end(1)
        drain(one)
        assert one.missing == log.first(1) > 0
        assert "line 1999" in one.emulator.text()
        offset, data = StoredTerminal(log.folder).read(0, log.end(1))
        assert (offset, data[:4]) == (log.first(1), log.read(1, log.first(1), 4))
        assert StoredTerminal(log.folder).read(log.end(1), log.end(1)) == (log.end(1), b"")


def test_a_damaged_checkpoint_is_none(tmp_path: Path) -> None:
    save(tmp_path, Checkpoint(5, 1, 24, 80, b"some \n screen"))
    assert load(tmp_path) == Checkpoint(5, 1, 24, 80, b"some \n screen")
    data = (tmp_path / "screen").read_bytes()
    for end in range(len(data)):
        (tmp_path / "screen").write_bytes(data[:end])
        assert load(tmp_path) is None
    for at in range(data.index(b"some"), len(data)):
        (tmp_path / "screen").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert load(tmp_path) is None


def test_sizes_and_answers_outlive_the_core(tmp_path: Path) -> None:
    start = {"rows": 24, "columns": 80}
    tty = Tty(tmp_path / "log", start)
    assert tty.resize(0, 24, 80) is None
    assert tty.resize(7, 30, 90) == Size(1, 7, 30, 90)
    tty.resize(9, 24, 80)
    tty.answered = 12
    tty.answered = CLIENT_ANSWERS
    with (tmp_path / "log" / "sizes").open("ab") as file:
        file.write(b"half")  # of one, when the core was killed
    again = Tty(tmp_path / "log", start)
    assert again.answered == CLIENT_ANSWERS
    assert again.resize(9, 25, 80) == Size(3, 9, 25, 80)
    assert Tty(tmp_path / "log", start).sizes == again.sizes
    assert [size.number for size in again.sizes] == [0, 1, 2, 3]


def test_text_is_harmless_and_patterns_are_bounded() -> None:
    emulator = Emulator(40, 3, 10)
    emulator.feed(b"one\r\n\x1b[31mtw\x1b[1mo\x1b[m \x1b]0;title\x07\x9b\r\n\xe6\xbc\xa2 three\r\nfour  ")
    seen = look(emulator, scrollback=True, ansi=False)
    assert (seen["scrollback"], seen["lines"]) == (["one"], ["two \ufffd", "漢 three", "four"])
    coloured = str(look(emulator, scrollback=False, ansi=True)["lines"])
    assert repr("\x1b[0;31mtw\x1b[0;1;31mo\x1b[0m ")[1:-1] in coloured
    assert Pattern("^three|^漢").found(emulator, scrollback=False)
    assert not Pattern("^one").found(emulator, scrollback=False)
    assert Pattern("^one$").found(emulator, scrollback=True)
    emulator.feed(b"\r\n" + b"a" * 40)
    with pytest.raises(BadPattern, match="too long"):
        Pattern("(a+)+b").found(emulator, scrollback=False)
    for text in ("(", "*", "a" * 2000):
        with pytest.raises(BadPattern):
            Pattern(text)


def test_what_takes_too_long_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hardly any time allowed, any output is too slow: it is left out, and what comes later is drawn again."""
    costly = "".join(f"{chr(0x61 + n % 26)}\u0301{chr(0x300 + n % 112)}" for n in range(20_000)).encode()
    with SessionLog(tmp_path / "log") as log:
        log.append(1, costly)
        one = screen(log.folder)
        one.end = log.end(1)
        monkeypatch.setattr("sandtop.core.screens.screen._MOST_SECONDS", 0.001)
        monkeypatch.setattr("sandtop.core.screens.screen._SLICE_SECONDS", 10.0)
        one.advance()
        monkeypatch.undo()
        drain(one)
        assert (one.offset, one.skipped) == (log.end(1), len(costly))
        assert "left out output" in one.emulator.text()
        log.append(1, b"while it is aside")
        one.end = log.end(1)
        drain(one)
        assert "while" not in one.emulator.text()
        again = screen(log.folder)  # another worker's: it meets nothing of that
        again.end = len(costly)
        assert again.emulator.text() == one.emulator.text()
        assert again.offset == len(costly)
        later = time.monotonic() + 10.0
        monkeypatch.setattr("sandtop.core.screens.screen.time.monotonic", lambda: later)
        log.append(1, b"after it")
        one.end = log.end(1)
        drain(one)
        assert "after it" in one.emulator.text()
        monkeypatch.undo()


def test_a_checkpoint_counts_and_has_a_limit(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log", cap=100_000) as log:
        log.append(1, b"x" * 1000)
        save(log.folder, Checkpoint(5, 1, 24, 80, b"d" * 50_000))
        assert log.kept == log.stored + (log.folder / "screen").stat().st_size
        for _ in range(100):
            log.append(1, b"y" * 1000)
        assert log.kept <= 100_000
        assert log.stored < 60_000
    before = load(log.folder)
    with pytest.raises(TooLarge):
        save(log.folder, Checkpoint(6, 1, 24, 80, b"d" * (MOST_BYTES + 1)))
    assert load(log.folder) == before
    save(log.folder, Checkpoint(6, 1, 24, 80, b"d" * MOST_BYTES))
    assert load(log.folder) == Checkpoint(6, 1, 24, 80, b"d" * MOST_BYTES)


def test_a_large_screen_loses_the_oldest_of_its_scrollback_in_the_checkpoint(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log") as log:
        for number in range(3000):
            log.append(1, b"line %04d\r\n" % number)
        one = DrawnScreen(log.folder, (24, 80), 0, lambda _offset, _data: None, most_bytes=5000)
        one.end = log.end(1)
        drain(one)
        one.unload()
        assert (log.folder / "screen").stat().st_size < 5300
        assert "line 2999" in one.emulator.text()
        assert 100 < one.emulator.scrollback_rows < 400
