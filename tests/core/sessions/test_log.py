"""The session log: whatever is appended, capped, cut short by a full disk or reopened, its bytes are exact."""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtop.core.sessions import SessionLog
from sandtop.core.sessions._index import Entry, Index

if TYPE_CHECKING:
    from collections.abc import Generator

    from sandtop.core.sessions.log import Piece

appends = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=300)), max_size=40)


@contextmanager
def largest_file(size: int) -> Generator[None]:
    """No file can grow beyond ``size`` bytes: the kernel cuts a write short there, and refuses the next (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def whole(log: SessionLog, stream: int) -> bytes:
    data = bytearray()
    offset = log.first(stream)
    while piece := log.read(stream, offset, 1 << 20):
        data += piece
        offset += len(piece)
    return bytes(data)


def replay(log: SessionLog, pieces: list[Piece]) -> list[tuple[int, bytes]]:
    """What the pieces say, runs of one stream made one."""
    said: list[tuple[int, bytes]] = []
    for piece in pieces:
        data = bytearray()
        while len(data) < piece.end - piece.start:
            more = log.read(piece.stream, piece.start + len(data), piece.end - piece.start - len(data))
            assert more
            data += more
        said.append((piece.stream, bytes(data)))
    return runs(said)


def runs(pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    joined: list[tuple[int, bytes]] = []
    for stream, data in pieces:
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + data)
        else:
            joined.append((stream, data))
    return joined


@given(appends, st.sets(st.integers(0, 40)))
def test_the_log_gives_back_what_it_was_given_in_that_order(
    given_pieces: list[tuple[int, bytes]], reopened: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = SessionLog(Path(folder) / "log")
        for number, (stream, data) in enumerate(given_pieces):
            if number in reopened:  # as after a kill -9: what was written is there, nothing is flushed
                log.close()
                log = SessionLog(Path(folder) / "log")
            assert log.append(stream, data) == len(data)
        with log:
            for stream in (1, 2):
                want = b"".join(data for each, data in given_pieces if each == stream)
                assert whole(log, stream) == want
                assert log.end(stream) == len(want)
            assert replay(log, log.pieces(log.span.start, log.span.stop)) == runs(given_pieces)


@given(appends, st.integers(1, 7), st.integers(16, 600))
def test_beyond_the_cap_the_oldest_go_and_the_rest_is_exact(
    given_pieces: list[tuple[int, bytes]], at_once: int, cap: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, SessionLog(Path(folder) / "log", cap) as log:
        for stream, data in given_pieces:
            assert log.append(stream, data) == len(data)
        assert log.stored <= cap + 2 * max(1, cap // 4)  # never the segments that are being written
        wants = {s: b"".join(data for each, data in given_pieces if each == s) for s in (1, 2)}
        for stream, want in wants.items():
            assert log.end(stream) == len(want)
            assert whole(log, stream) == want[log.first(stream) :]
            assert sum(path.stat().st_size for path in log.folder.glob(f"{stream}.*")) == log.end(
                stream
            ) - log.first(stream)
        # a reader that takes a few pieces at a time sees the same as one that takes all
        piecewise = [
            piece
            for start in range(log.span.start, log.span.stop, at_once)
            for piece in log.pieces(start, min(start + at_once, log.span.stop))
        ]
        assert piecewise == log.pieces(log.span.start, log.span.stop)
        for stream, want in wants.items():
            mine = b"".join(data for each, data in replay(log, piecewise) if each == stream)
            assert mine == want[log.first(stream) :]


@given(appends, st.integers(1, 900))
def test_what_a_full_disk_refused_can_be_given_again(
    given_pieces: list[tuple[int, bytes]], room: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        log = SessionLog(path)
        taken = {1: b"", 2: b""}
        rest: list[tuple[int, bytes]] = []
        with largest_file(room):
            for stream, data in given_pieces:
                try:
                    count = 0 if any(each == stream for each, _ in rest) else log.append(stream, data)
                except OSError:
                    count = 0
                taken[stream] += data[:count]
                if count < len(data):
                    rest.append((stream, data[count:]))
        for stream, data in taken.items():
            assert whole(log, stream) == data
        log.close()
        with SessionLog(path) as log:  # there is room again, and another core
            for stream, data in taken.items():
                assert log.end(stream) == len(data)
            for stream, data in rest:
                assert log.append(stream, data) == len(data)
            for stream in (1, 2):
                want = b"".join(data for each, data in given_pieces if each == stream)
                assert whole(log, stream) == want
                said = replay(log, log.pieces(log.span.start, log.span.stop))
                assert b"".join(data for each, data in said if each == stream) == want


@settings(max_examples=30)
@given(st.lists(st.integers(1, 2), min_size=1, max_size=60), st.integers(1, 9))
def test_an_index_that_is_full_forgets_the_oldest(streams: list[int], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = Index(Path(folder), most)
        written = [Entry(float(number), stream, (number, number)) for number, stream in enumerate(streams)]
        for entry in written:
            index.note([entry])
            assert len(index.span) <= 2 * most
        span = index.span
        assert span.stop == len(written)
        assert index.read(span.start, span.stop) == written[span.start :]
        index.close()
        again = Index(Path(folder), most)
        assert again.read(0, len(span)) == written[span.start :]


@given(st.binary(min_size=1, max_size=200), st.integers(1, 60))
def test_a_torn_entry_of_the_index_is_cut_off(data: bytes, torn: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with SessionLog(path) as log:
            log.append(1, data)
            log.append(2, data)
        with (path / "index").open("ab") as file:
            file.write(b"\xff" * (torn % 25))
        with SessionLog(path) as log:
            log.append(1, b"more")
            assert replay(log, log.pieces(0, log.span.stop)) == [(1, data), (2, data), (1, b"more")]


def test_a_missing_segment_is_a_gap_before_what_is_left(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log", cap=400) as log:
        for number in range(4):
            log.append(1, bytes([number]) * 100)
        segments = sorted((tmp_path / "log").glob("1.*"))
        segments[1].unlink()
    with SessionLog(tmp_path / "log", cap=400) as log:
        assert log.first(1) == 200
        assert whole(log, 1) == bytes([2]) * 100 + bytes([3]) * 100


def test_strange_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for name in ("1.zzzzzzzzzzzzzzzz", "1.tmp", "3.0000000000000000", "notes"):
        (folder / name).write_text("?")
    with SessionLog(folder) as log:
        assert log.append(1, b"x") == 1
        assert whole(log, 1) == b"x"


def test_nothing_is_on_disk_before_the_first_byte_or_after_clear(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "log") as log:
        assert not log.folder.exists()
        log.append(2, b"x")
        log.clear()
        assert not log.folder.exists()
        assert (log.first(2), log.end(2), log.stored) == (0, 0, 0)
        assert log.pieces(0, 10) == []


def test_an_unwritable_folder_is_an_error_and_no_half_entry(tmp_path: Path) -> None:
    with SessionLog(tmp_path / "file" / "log") as log:
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError):
            log.append(1, b"x")
        (tmp_path / "file").unlink()
        assert log.append(1, b"x") == 1
        assert os.listdir(log.folder) == ["index", "1.0000000000000000"] or len(os.listdir(log.folder)) == 2


batches = st.lists(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40)), min_size=1, max_size=12),
    max_size=12,
)


def _extended(log: SessionLog, pieces: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Give the log ``pieces``; what of them it did not take."""
    try:
        counts = log.extend(pieces)
    except OSError:
        return pieces
    rest: list[tuple[int, bytes]] = []
    for stream, data in pieces:
        taken = min(counts[stream], len(data))
        counts[stream] -= taken
        if data[taken:]:
            rest.append((stream, data[taken:]))
    return rest


@given(batches, st.integers(30, 900))
def test_many_pieces_at_once_keep_their_order_also_when_the_disk_is_full_in_between(
    given_batches: list[list[tuple[int, bytes]]], room: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, SessionLog(Path(folder) / "log") as log:
        refused: list[tuple[int, bytes]] = []
        done: list[tuple[int, bytes]] = []
        with largest_file(room):
            for batch in given_batches:
                done += batch
                refused = _extended(log, batch)
                if refused:
                    break
        assert not refused or _extended(log, refused) == []  # there is room again
        _says_all(log, {stream: b"".join(data for each, data in done if each == stream) for stream in (1, 2)})
        if not refused:
            assert replay(log, log.pieces(log.span.start, log.span.stop)) == runs(done)


@pytest.mark.slow
@given(batches, st.integers(0, 60), st.integers(0, 60), batches)
def test_a_core_that_dies_between_its_notes_and_its_bytes_loses_no_order_and_doubles_nothing(
    before: list[list[tuple[int, bytes]]], lost_1: int, lost_2: int, after: list[list[tuple[int, bytes]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with SessionLog(path) as log:
            for batch in before:
                log.extend(batch)
        for stream, lost in (
            (1, lost_1),
            (2, lost_2),
        ):  # what was noted and not written when the core was killed
            for segment in path.glob(f"{stream}.*"):
                os.truncate(segment, max(0, segment.stat().st_size - lost))
        with SessionLog(path) as log:
            kept = {stream: whole(log, stream) for stream in (1, 2)}
            _says_all(log, kept)
            for batch in after:
                log.extend(batch)
            for stream in (1, 2):
                kept[stream] += b"".join(data for batch in after for each, data in batch if each == stream)
            _says_all(log, kept)


def _says_all(log: SessionLog, kept: dict[int, bytes]) -> None:
    said = replay(log, log.pieces(log.span.start, log.span.stop))
    for stream, want in kept.items():
        assert b"".join(data for each, data in said if each == stream) == want


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 9))
def test_many_entries_at_once_fill_an_index_as_one_by_one(sizes: list[int], most: int) -> None:
    written = [Entry(float(number), 1 + number % 2, (number, number)) for number in range(sum(sizes))]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one").mkdir()
        (Path(folder) / "many").mkdir()
        one, many = Index(Path(folder) / "one", most), Index(Path(folder) / "many", most)
        start = 0
        for size in sizes:
            many.note(written[start : start + size])
            for entry in written[start : start + size]:
                one.note([entry])
            start += size
        assert one.span == many.span
        assert one.read(one.span.start, one.span.stop) == many.read(many.span.start, many.span.stop)
        one.close()
        many.close()
