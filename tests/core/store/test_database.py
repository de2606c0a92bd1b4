"""The store: what is written is there for the next core, and older databases become newer ones."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import TYPE_CHECKING

import pytest

from sandtop.core.errors import AlreadyExists, StorageError
from sandtop.core.store import AlertRow, Database, Ownership, SandboxConfig, SandboxRow, SessionRow
from sandtop.core.store import _database as implementation

if TYPE_CHECKING:
    from pathlib import Path


def sandbox(name: str = "box", uuid: str = "u1") -> SandboxRow:
    config = SandboxConfig(env={"A": "b"}, labels={"team": "x"}, ephemeral=True)
    return SandboxRow(uuid, name, config, "running", "", 1.0, request_id="r", image_digest="d")


def session(key: str, number: int, uuid: str = "u1") -> SessionRow:
    start: dict[str, object] = {"argv": ["\udcff", "two"], "tty": None}
    return SessionRow(key, uuid, number, start, "starting", 2.0, labels={"a": "b"}, on_hangup="kill")


def test_the_next_core_finds_what_was_stored(tmp_path: Path) -> None:
    row = dataclasses.replace(sandbox(), ownership=Ownership(7, 8, "boot", "token", "tcg"), started_at=3.0)
    row = dataclasses.replace(row, acknowledged_at=4.0)
    first, ended = session("a", 1), dataclasses.replace(session("b", 2), state="exited", pid=5, ended_at=9.0,
                                                        record={"reason": "exited", "code": 0})  # fmt: skip
    with Database(tmp_path / "db") as database:
        database.add_sandbox(row)
        database.add_session(first)
        database.add_session(session("b", 2))
        database.update_session(ended)
        first = dataclasses.replace(first, prompt_seen="leader")
        database.update_session(first)
    with Database(tmp_path / "db") as database:
        assert database.sandboxes() == [row]
        assert database.sessions() == [first, ended]


def test_alerts_are_kept_by_sandbox_and_name_and_go_with_the_sandbox(tmp_path: Path) -> None:
    quiet, full = AlertRow("quiet", "", 5.0, "none"), AlertRow("full", "No \udcffspace", 6.0, "bell", "a")
    with Database(tmp_path / "db") as database:
        database.add_sandbox(sandbox())
        database.add_sandbox(sandbox("other", "u2"))
        database.put_alert("u1", quiet)
        database.put_alert("u1", full)
        database.put_alert("u2", quiet)
        database.put_alert("u1", dataclasses.replace(quiet, seen=True))
    with Database(tmp_path / "db") as database:
        stored = dataclasses.replace(full, text="No ?space")
        assert database.alerts("u1") == [stored, dataclasses.replace(quiet, seen=True)]
        assert database.alerts("u2") == [quiet]
        database.remove_alert("u1", "full")
        database.remove_sandbox("u2")
        assert [alert.name for alert in database.alerts("u1")] == ["quiet"]
        assert database.alerts("u2") == []


@pytest.mark.parametrize("cid", [None, 70_000])
def test_how_a_machine_is_found_again_is_stored_with_its_cid(tmp_path: Path, cid: int | None) -> None:
    owned = Ownership(7, 8, "boot", "token", "tcg", cid)
    with Database(tmp_path / "db") as database:
        database.add_sandbox(dataclasses.replace(sandbox(), ownership=owned))
    with Database(tmp_path / "db") as database:
        assert [row.ownership for row in database.sandboxes()] == [owned]


def test_a_machine_of_a_core_that_knew_no_cid_has_none(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        database.add_sandbox(sandbox())
    with sqlite3.connect(tmp_path / "db") as raw:
        raw.execute("UPDATE sandbox SET ownership = ?", ('[7, 8, "boot", "token", "tcg"]',))
    raw.close()
    with Database(tmp_path / "db") as database:
        assert database.sandboxes()[0].ownership == Ownership(7, 8, "boot", "token", "tcg", None)


def test_a_killed_core_loses_nothing_that_it_stored(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")  # never closed: its write-ahead log is all there is
    database.add_sandbox(sandbox())
    with Database(tmp_path / "db") as another:
        assert another.sandboxes() == [sandbox()]
    database.__exit__(None, None, None)


def test_a_name_is_taken_once_and_free_again_after_removal(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        database.add_sandbox(sandbox())
        with pytest.raises(AlreadyExists, match="box"):
            database.add_sandbox(sandbox(uuid="u2"))
        # one of which only history is left does not hold its name
        database.update_sandbox(dataclasses.replace(sandbox(), removed_at=5.0))
        database.add_sandbox(sandbox(uuid="u2"))
        assert [row.uuid for row in database.sandboxes()] == ["u1", "u2"]


def test_ids_and_numbers_of_sessions_are_used_once(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        database.add_sandbox(sandbox())
        database.add_session(session("a", 1))
        for key, number in (("a", 2), ("b", 1)):
            with pytest.raises(AlreadyExists):
                database.add_session(session(key, number))
        database.add_session(session("c", 2))
        assert [row.id for row in database.sessions()] == ["a", "c"]


def test_the_number_of_a_removed_session_is_not_forgotten(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        database.add_sandbox(sandbox())
        assert database.last_number("u1") == 0
        database.add_session(session("a", 7))
        database.remove_session("a")
    with Database(tmp_path / "db") as database:
        assert database.last_number("u1") == 7


def test_sessions_go_with_their_sandbox(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        database.add_sandbox(sandbox())
        database.add_session(session("a", 1))
        database.remove_sandbox("u1")
        assert database.sessions() == []


def test_a_request_is_new_once(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        assert database.first_request("x", 100.0)
        assert not database.first_request("x", 101.0)
    with Database(tmp_path / "db") as database:
        assert not database.first_request("x", 102.0)
        assert database.first_request("x", 100.0 + 2 * 86_400)


def test_what_is_not_utf8_in_a_reason_does_not_stop_the_core(tmp_path: Path) -> None:
    with Database(tmp_path / "db") as database:
        database.add_sandbox(dataclasses.replace(sandbox(), reason="no such file: \udcff"))
        assert database.sandboxes()[0].reason == "no such file: ?"


def test_the_first_version_becomes_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrations: tuple[str, ...] = vars(implementation)["_MIGRATIONS"]
    raw = sqlite3.connect(tmp_path / "db")
    raw.executescript(migrations[0] + "PRAGMA user_version=1;")
    raw.execute("INSERT INTO sandbox VALUES ('u1','box','{}','running','',1.0,NULL,NULL,'r','d',NULL)")
    for number in (3, 9):
        raw.execute(
            "INSERT INTO session VALUES (?,'u1',?,'{}','exited',1.0,NULL,NULL,NULL,'{}',NULL)",
            (str(number), number),
        )
    raw.commit()
    raw.close()
    with Database(tmp_path / "db") as database:
        assert database.last_number("u1") == 9
        assert [row.on_hangup for row in database.sessions()] == ["keep", "keep"]
        assert [row.acknowledged_at for row in database.sandboxes()] == [None]
        assert [row.acknowledged_at for row in database.sessions()] == [None, None]
    # a migration that fails leaves the version before it whole
    monkeypatch.setattr(implementation, "_MIGRATIONS", (*migrations, "CREATE TABLE more (a); BROKEN;"))
    with pytest.raises(StorageError):
        Database(tmp_path / "db")
    monkeypatch.setattr(implementation, "_MIGRATIONS", (*migrations, "CREATE TABLE more (a);"))
    with Database(tmp_path / "db") as database:
        assert database.last_number("u1") == 9


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "db")
    raw.execute("PRAGMA user_version=99")
    raw.close()
    with pytest.raises(StorageError, match="newer"):
        Database(tmp_path / "db")


def test_a_damaged_database_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(StorageError, match=str(tmp_path / "db")):
        Database(tmp_path / "db")
