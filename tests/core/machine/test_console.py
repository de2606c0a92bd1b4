"""The console log: bounded, whole at its end, and harmless to the terminal that shows it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.errors import MachineError, StorageError
from sandtop.core.machine.console import ConsoleLog, ConsoleReader, clear, recorded, tail


@given(chunks=st.lists(st.binary(max_size=300), max_size=30), cap=st.integers(2, 400))
def test_it_keeps_the_end_within_its_cap(chunks: list[bytes], cap: int) -> None:
    with TemporaryDirectory() as folder:
        path, older = Path(folder) / "console", Path(folder) / "console.1"
        for half in (chunks[: len(chunks) // 2], chunks[len(chunks) // 2 :]):
            with ConsoleLog(path, cap=cap) as log:  # opened again, as after a restart of the core
                for chunk in half:
                    log.write(chunk)
        kept = (older.read_bytes() if older.exists() else b"") + path.read_bytes()
        written = b"".join(chunks)
        assert len(kept) <= cap
        assert written.endswith(kept)
        assert len(kept) >= min(len(written), cap // 2)


@given(raw=st.binary(max_size=2000), lines=st.integers(0, 10))
def test_the_tail_is_printable_whatever_was_printed(raw: bytes, lines: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "console"
        path.write_bytes(raw)
        shown = tail(path, lines).splitlines()
    assert len(shown) <= lines
    assert all(line.isprintable() and 0 < len(line) <= 200 for line in shown)


def test_the_tail_reaches_into_the_older_piece(tmp_path: Path) -> None:
    path = tmp_path / "console"
    assert tail(path) == ""
    with ConsoleLog(path, cap=40) as log:
        log.write(b"one\r\ntwo\r\n\r\n\x1b[31mthree\x1b[0m\r\nfour")
    assert path.stat().st_size < 20
    assert tail(path, 3) == "two\n\N{REPLACEMENT CHARACTER}[31mthree\N{REPLACEMENT CHARACTER}[0m\nfour"


def test_a_new_boot_has_no_old_console(tmp_path: Path) -> None:
    path = tmp_path / "console"
    with ConsoleLog(path, cap=8) as log:
        log.write(b"old\nlog\n")
    assert len(os.listdir(tmp_path)) == 2
    clear(path)
    assert os.listdir(tmp_path) == []
    clear(path)


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="console log"):
        ConsoleLog(tmp_path / "nowhere" / "console")


@pytest.mark.anyio
async def test_it_copies_until_the_machine_ends(tmp_path: Path) -> None:
    path, log = tmp_path / "socket", tmp_path / "console"
    with trio.socket.socket(socket.AF_UNIX) as listener:
        await listener.bind(os.fsencode(path))
        listener.listen(1)
        async with recorded(path, log, "box") as ended:
            machine = (await listener.accept())[0]
            await machine.send(b"last words")
            assert not ended.is_set()
            machine.close()
            with trio.fail_after(20):
                await ended.wait()
            assert tail(log) == "last words"


@pytest.mark.anyio
async def test_no_console(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="cannot reach the machine's console"):
        async with recorded(tmp_path / "socket", tmp_path / "console", "box"):
            pytest.fail("reached")


@given(chunks=st.lists(st.binary(min_size=1, max_size=100), max_size=30), cap=st.integers(200, 400))
def test_who_follows_reads_all_that_is_written(chunks: list[bytes], cap: int) -> None:
    """Each chunk is less than half of what is kept, so that no file is gone before it was read."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "console"
        with ConsoleLog(path, cap=cap) as log, ConsoleReader(path) as reader:
            seen = reader.begin()
            for chunk in chunks:
                log.write(chunk)
                seen += reader.read()
        assert seen == b"".join(chunks)


def test_a_reader_begins_with_the_last_lines_and_goes_on_in_the_next_machine(tmp_path: Path) -> None:
    path = tmp_path / "console"
    with ConsoleReader(path) as early:
        assert early.begin() == early.read() == b""
        with ConsoleLog(path) as log:
            log.write(b"one\ntwo\nthree")
        assert early.read() == b"one\ntwo\nthree"
        with ConsoleReader(path) as reader:
            assert reader.begin(2) == b"two\nthree"
            clear(path)
            assert reader.read() == b""
            with ConsoleLog(path) as log:
                log.write(b"again\n")
            assert reader.read() == b"again\n"
    with ConsoleReader(path) as late:
        assert (late.begin(0), late.read()) == (b"", b"")
