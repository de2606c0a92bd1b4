"""The events that are kept: none lost with a core, none twice, and never more than their share of the disk."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
import trio

from sandtop.core.contract.core_events import Happening
from sandtop.core.events import RECENT, EventLog, Teller

if TYPE_CHECKING:
    from pathlib import Path


def kinds(log: EventLog, after: int = 0) -> list[str]:
    return [event["kind"] for event in log.stored(after)]


def test_the_next_core_goes_on_with_the_ids(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events", now=lambda: 5.0)
    assert (log.last, log.stored()) == (0, [])
    log.add("created", "of base", sandbox="box", uuid="u")
    log.add("session-exited", session="s", record={"reason": "exited", "code": 3})
    log.close()
    later = EventLog(tmp_path / "events")
    assert later.last == 2
    later.add("removed")
    assert [event["id"] for event in later.stored()] == [1, 2, 3]
    first, second, _ = later.stored()
    assert first.keys() == Happening.fields.keys()
    assert (first["sandbox"], first["uuid"], first["at"], first["message"]) == ("box", "u", 5.0, "of base")
    assert second["record"] == {"reason": "exited", "code": 3}
    assert (tmp_path / "events").stat().st_mode & 0o777 == 0o600


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events", cap=100_000)
    for number in range(3000):
        log.add("paused", f"number {number}")
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 40_000 < size < 102_000
    ids = [event["id"] for event in log.stored()]
    assert ids == list(range(ids[0], 3001))
    assert len(ids) < 3000
    assert EventLog(tmp_path / "events").last == 3000
    log.add("paused", "x" * 100_000)
    assert len(log.stored()[-1]["message"]) == 1000


def test_memory_holds_the_latest(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events")
    for _ in range(RECENT + 10):
        log.add("paused")
    assert log.recent(5) is None
    assert len(log.recent(10) or ()) == RECENT
    assert log.recent(log.last) == []
    assert len(log.stored(5)) == RECENT + 5


@pytest.mark.parametrize("torn", [b'{"id": 99', b"\xff\xfe\n", b"[]\n{}\n", b'{"id": "x"}\n', b"\n\n"])
def test_what_a_death_left_torn_is_left_out(tmp_path: Path, torn: bytes) -> None:
    log = EventLog(tmp_path / "events")
    log.add("created")
    log.close()
    with (tmp_path / "events").open("ab") as file:
        file.write(torn)
    later = EventLog(tmp_path / "events")
    later.add("started")
    assert kinds(later) == ["created", "started"]
    assert kinds(EventLog(tmp_path / "events")) == ["created", "started"]


def test_a_file_that_was_moved_away_while_it_was_read_is_not_told_twice(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events")
    log.add("created")
    log.add("started")
    log.close()
    # so it looks to who reads the one, and then the other
    shutil.copy(tmp_path / "events", tmp_path / "events.1")
    assert kinds(EventLog(tmp_path / "events")) == ["created", "started"]


def test_a_disk_that_takes_nothing_holds_nobody_up(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    log = EventLog(folder / "events")
    log.add("created")
    log.add("started")
    assert kinds(log) == ["created", "started"]  # from memory
    folder.mkdir()
    log.add("paused")
    assert kinds(EventLog(folder / "events")) == ["created", "started", "paused"]


def test_who_follows_is_woken(tmp_path: Path) -> None:
    async def main() -> None:
        log = EventLog(tmp_path / "events")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.wait)
            await trio.testing.wait_all_tasks_blocked()
            log.add("created")

    trio.run(main)


def test_nothing_is_told_of_a_machine_that_is_nobodys(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events")
    Teller(None, "warm", "u")("started")
    Teller(log, "box", "u")("started", session="s")
    assert [(event["sandbox"], event["session"]) for event in log.stored()] == [("box", "s")]
    assert os.listdir(tmp_path) == ["events"]
