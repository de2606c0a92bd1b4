"""The database: one connection, used from the core's own thread only.

Write-ahead logging with ``synchronous=NORMAL``: a killed core loses nothing that was committed; only a crash of the
host may lose the last moments, and it ends every machine anyway (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, cast

from sandtop.core.errors import AlreadyExists, StorageError, from_os_error
from sandtop.core.store._rows import AlertRow, Ownership, SandboxConfig, SandboxRow, SessionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

_MIGRATIONS: Final = (
    """
    CREATE TABLE sandbox (
        uuid TEXT PRIMARY KEY, name TEXT NOT NULL, config TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
        created_at REAL NOT NULL, started_at REAL, ownership TEXT, request_id TEXT NOT NULL,
        image_digest TEXT NOT NULL, removed_at REAL
    ) STRICT;
    CREATE UNIQUE INDEX sandbox_name ON sandbox (name) WHERE removed_at IS NULL;
    CREATE TABLE session (
        id TEXT PRIMARY KEY, uuid TEXT NOT NULL REFERENCES sandbox ON DELETE CASCADE, number INTEGER NOT NULL,
        start TEXT NOT NULL, state TEXT NOT NULL, created_at REAL NOT NULL, started_at REAL, ended_at REAL,
        pid INTEGER, labels TEXT NOT NULL, record TEXT, UNIQUE (uuid, number)
    ) STRICT;
    """,
    """
    ALTER TABLE sandbox ADD COLUMN last_number INTEGER NOT NULL DEFAULT 0;
    UPDATE sandbox SET last_number = (SELECT coalesce(max(number), 0) FROM session WHERE session.uuid = sandbox.uuid);
    ALTER TABLE session ADD COLUMN on_hangup TEXT NOT NULL DEFAULT 'keep';
    CREATE TABLE request (id TEXT PRIMARY KEY, at REAL NOT NULL) STRICT;
    """,
    """
    ALTER TABLE sandbox ADD COLUMN acknowledged_at REAL;
    ALTER TABLE session ADD COLUMN acknowledged_at REAL;
    """,
    """
    ALTER TABLE sandbox ADD COLUMN changed_at REAL;
    """,
    """
    ALTER TABLE session ADD COLUMN prompt_seen TEXT NOT NULL DEFAULT '';
    CREATE TABLE alert (
        uuid TEXT NOT NULL REFERENCES sandbox ON DELETE CASCADE, name TEXT NOT NULL, text TEXT NOT NULL,
        at REAL NOT NULL, notify TEXT NOT NULL, session TEXT, seen INTEGER NOT NULL, PRIMARY KEY (uuid, name)
    ) STRICT;
    """,
)
"""Each is applied once, in order; ``user_version`` counts them. Never change one that was released: add another."""
_SANDBOX: Final = (
    "uuid, name, config, state, reason, created_at, started_at, ownership, request_id, image_digest,"
    " removed_at, acknowledged_at, changed_at"
)
_SESSION: Final = (
    "id, uuid, number, start, state, created_at, started_at, ended_at, pid, labels, record, on_hangup,"
    " acknowledged_at, prompt_seen"
)
_REQUESTS_KEPT: Final = 86_400.0
"""Seconds for which a request is known again: far longer than a client goes on asking."""


class Database:
    """The store. A context manager; every method raises `StorageError` when the disk does not go along."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            _keep_private(path)
        except OSError as error:
            raise from_os_error(error, f"the database {path} cannot be opened") from error
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        except sqlite3.Error as error:
            raise self._failure(error) from error
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._migrate()
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error):
                raise self._failure(error) from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._connection.close()

    def _failure(self, error: sqlite3.Error) -> StorageError:
        return StorageError(
            f"the database {self._path} cannot be used: {error}",
            hint="free some space or check the folder's permissions, then try again",
        )

    def _migrate(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise StorageError(
                f"the database {self._path} was written by a newer sandtop",
                hint="upgrade sandtop, or move that file away",
            )
        for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
            self._connection.executescript(f"BEGIN; {script} PRAGMA user_version={number}; COMMIT;")

    def _execute(self, sql: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._failure(error) from error

    # sandboxes

    def add_sandbox(self, row: SandboxRow) -> None:
        """Store a new sandbox. Raises `AlreadyExists` when its name is taken."""
        try:
            self._execute(
                f"INSERT INTO sandbox ({_SANDBOX}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    row.uuid, row.name, _dump(row.config.to_json()), row.state, _text(row.reason), row.created_at,
                    row.started_at, _dump_ownership(row.ownership), row.request_id, row.image_digest, row.removed_at,
                    row.acknowledged_at, row.changed_at,
                ),
            )  # fmt: skip
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(
                f"there is a sandbox named {row.name} already",
                sandbox=row.name,
                hint=f"choose another name, or remove it: sandtop rm {row.name}",
            ) from error

    def update_sandbox(self, row: SandboxRow) -> None:
        """Store what changes in a sandbox's life: state, reason, times, ownership, image digest."""
        self._execute(
            "UPDATE sandbox SET state=?, reason=?, started_at=?, ownership=?, image_digest=?, removed_at=?,"
            " acknowledged_at=?, changed_at=?"
            " WHERE uuid=?",
            (
                row.state, _text(row.reason), row.started_at, _dump_ownership(row.ownership), row.image_digest,
                row.removed_at, row.acknowledged_at, row.changed_at, row.uuid,
            ),
        )  # fmt: skip

    def update_config(self, row: SandboxRow) -> None:
        """Store what it is made with anew."""
        self._execute("UPDATE sandbox SET config=? WHERE uuid=?", (_dump(row.config.to_json()), row.uuid))

    def remove_sandbox(self, uuid: str) -> None:
        """Forget a sandbox and its sessions."""
        self._execute("DELETE FROM sandbox WHERE uuid=?", (uuid,))

    def sandboxes(self) -> list[SandboxRow]:
        """All, oldest first; those of which only history is left among them."""
        rows = self._execute(f"SELECT {_SANDBOX} FROM sandbox ORDER BY created_at, rowid")
        return [_sandbox(row) for row in rows]

    # sessions

    def last_number(self, uuid: str) -> int:
        """The highest number that a session of this sandbox ever had, removed ones too; 0 before the first."""
        rows = self._execute("SELECT last_number FROM sandbox WHERE uuid=?", (uuid,))
        return int(rows[0][0]) if rows else 0

    def add_session(self, row: SessionRow) -> None:
        """Store a new session, before anything is started. Raises `AlreadyExists` when the id is taken."""
        try:
            self._execute("BEGIN IMMEDIATE")
            self._execute(
                f"INSERT INTO session ({_SESSION}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    row.id, row.uuid, row.number, _dump(row.start), row.state, row.created_at, row.started_at,
                    row.ended_at, row.pid, _dump(row.labels), _dump(row.record), row.on_hangup,
                    row.acknowledged_at, row.prompt_seen,
                ),
            )  # fmt: skip
            self._execute(
                "UPDATE sandbox SET last_number=max(last_number, ?) WHERE uuid=?", (row.number, row.uuid)
            )
            self._execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(
                f"there is a session {row.id} already", hint="give each session its own id"
            ) from error
        finally:
            if self._connection.in_transaction:
                self._execute("ROLLBACK")

    def update_session(self, row: SessionRow) -> None:
        """Store what changes in a session's life."""
        self._execute(
            "UPDATE session SET state=?, started_at=?, ended_at=?, pid=?, record=?, acknowledged_at=?, prompt_seen=?"
            " WHERE id=?",
            (
                row.state, row.started_at, row.ended_at, row.pid, _dump(row.record), row.acknowledged_at,
                row.prompt_seen, row.id,
            ),
        )  # fmt: skip

    def shorten_session(self, row: SessionRow) -> None:
        """Store its start anew, of which there is less now."""
        self._execute("UPDATE session SET start=? WHERE id=?", (_dump(row.start), row.id))

    def remove_session(self, session_id: str) -> None:
        self._execute("DELETE FROM session WHERE id=?", (session_id,))

    def sessions(self) -> list[SessionRow]:
        """All, oldest first."""
        rows = self._execute(f"SELECT {_SESSION} FROM session ORDER BY created_at, rowid")
        return [_session(row) for row in rows]

    # alerts

    def put_alert(self, uuid: str, row: AlertRow) -> None:
        """Store an alert of the sandbox ``uuid``, in the place of the one that it had of that name."""
        self._execute(
            "INSERT OR REPLACE INTO alert VALUES (?,?,?,?,?,?,?)",
            (uuid, row.name, _text(row.text), row.at, row.notify, row.session, row.seen),
        )

    def remove_alert(self, uuid: str, name: str) -> None:
        self._execute("DELETE FROM alert WHERE uuid=? AND name=?", (uuid, name))

    def alerts(self, uuid: str) -> list[AlertRow]:
        """Those of the sandbox ``uuid``."""
        rows = self._execute("SELECT name, text, at, notify, session, seen FROM alert WHERE uuid=?", (uuid,))
        return [
            AlertRow(name, text, at, notify, session, bool(seen))
            for name, text, at, notify, session, seen in rows
        ]

    # requests

    def first_request(self, request_id: str, now: float) -> bool:
        """Whether ``request_id`` was never asked before; it is noted, and very old ones are forgotten."""
        self._execute("DELETE FROM request WHERE at < ?", (now - _REQUESTS_KEPT,))
        try:
            self._execute("INSERT INTO request VALUES (?, ?)", (request_id, now))
        except sqlite3.IntegrityError:
            return False
        return True


def _text(value: str) -> str:
    """``value`` as SQLite takes it: what a file name brought in that is not UTF-8 becomes a question mark."""
    return value.encode("utf-8", "replace").decode()


def _dump(value: object) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _dump_ownership(value: Ownership | None) -> str | None:
    return None if value is None else _dump([getattr(value, name) for name in Ownership.__slots__])


def _load(text: str) -> Mapping[str, object]:
    return cast("Mapping[str, object]", json.loads(text))


def _sandbox(row: tuple[Any, ...]) -> SandboxRow:
    (
        uuid,
        name,
        config,
        state,
        reason,
        created,
        started,
        ownership,
        request_id,
        digest,
        removed,
        acknowledged,
        changed,
    ) = row
    return SandboxRow(
        uuid=uuid, name=name, config=SandboxConfig.from_json(_load(config)), state=state, reason=reason,
        created_at=created, started_at=started,
        ownership=Ownership(*json.loads(ownership)) if ownership else None,
        request_id=request_id, image_digest=digest, removed_at=removed,
        acknowledged_at=acknowledged, changed_at=changed,
    )  # fmt: skip


def _session(row: tuple[Any, ...]) -> SessionRow:
    (
        session_id,
        uuid,
        number,
        start,
        state,
        created,
        started,
        ended,
        pid,
        labels,
        record,
        hangup,
        seen,
        prompt,
    ) = row
    return SessionRow(
        id=session_id, uuid=uuid, number=number, start=_load(start), state=state, created_at=created,
        started_at=started, ended_at=ended, pid=pid, labels=cast("Mapping[str, str]", json.loads(labels)),
        record=_load(record) if record else None, on_hangup=hangup, acknowledged_at=seen,
        prompt_seen=prompt,
    )  # fmt: skip


def _keep_private(path: Path) -> None:
    """Nobody but this user reads ``path``, which is made when it is not there.

    What SQLite makes beside it has its mode (os_unix.c, findCreateFileMode).
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(FileNotFoundError):
            if stat.S_IMODE(name.stat().st_mode) & 0o077:
                name.chmod(0o600)
