"""Why somebody should look: the one answer that console, CLI and programs get."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest
import trio

from sandtop.agent.wire import Data, ProtocolError
from sandtop.core.fleet.attention import Attention, Why, facts_of, of_sandbox
from sandtop.core.fleet.raised import Alerts
from sandtop.core.fleet.state import State
from sandtop.core.sessions import Session, SessionManager
from sandtop.core.settings import Settings
from sandtop.core.store import Database, SandboxConfig, SandboxRow, SessionRow

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.core.fleet import Sandbox

UUID = "11111111-2222-3333-4444-555555555555"


@dataclass
class Box:
    """What of a sandbox its attention depends on; its sessions are real."""

    row: SandboxRow
    database: Database
    folder: Path
    nursery: trio.Nursery
    trouble: str | None = None
    made: list[Session] = field(default_factory=list[Session])

    def __post_init__(self) -> None:
        """The next core begins like this, too."""
        name, logs = self.row.name, self.folder / "logs"
        self.alerts = Alerts(UUID, self.database)
        self.sessions = SessionManager(UUID, name, self.database, logs, Settings(), self.nursery)
        for row in self.database.sessions():
            self.sessions.load(row)

    def run(self, *argv: str, tty: bool = True) -> Session:
        number = len(self.made) + 1
        start: dict[str, object] = {"argv": list(argv), "env": {}, "stdin": True}
        start["tty"] = {"rows": 24, "columns": 80} if tty else None
        key = f"{number:016x}"
        session = self.sessions.start(SessionRow(key, UUID, number, start, "starting", 100.0 + number))
        self.made.append(session)
        self.says(session, type="started", pid=number)
        return session

    def says(self, session: Session, **message: object) -> None:
        """What the agent says of a session."""
        self.sessions.listener.message({"id": session.row.id, **message})
        while self.sessions.listener.drained():
            pass

    def ends(self, session: Session, code: int) -> None:
        self.says(session, type="exited", record={"reason": "exited", "code": code, "stdout": 0, "stderr": 0})
        assert session.ended

    def look(self) -> Attention | None:
        """What it asks for, whenever that began."""
        found = of_sandbox(cast("Sandbox", self), 1000.0)
        return found and dataclasses.replace(found, at=None)


Case = Callable[[Box], None]


@pytest.fixture
def box(tmp_path: Path) -> Callable[[Case], None]:
    """Runs a case on a box."""

    def run(case: Case) -> None:
        async def main() -> None:
            with Database(tmp_path / "db") as database:
                row = SandboxRow(UUID, "box", SandboxConfig(), "running", "", 1.0, started_at=500.0)
                database.add_sandbox(row)
                async with trio.open_nursery() as nursery:
                    case(Box(row, database, tmp_path, nursery))

        trio.run(main)

    return run


def test_one_that_is_fine(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        assert box.look() is None
        box.ends(box.run("true", tty=False), 0)
        assert box.look() is None

    box(case)


@pytest.mark.parametrize(
    ("sent", "record", "asks"),
    [
        (9, {"reason": "signaled", "signal": 9}, False),
        (15, {"reason": "exited", "code": 143}, False),  # as a shell says it
        (15, {"reason": "signaled", "signal": 11}, True),
        (
            1,
            {"reason": "exited", "code": 1},
            True,
        ),  # it read its settings again, and failed for another reason
        (None, {"reason": "signaled", "signal": 9}, True),
    ],
)
def test_one_that_ended_by_a_signal_that_was_sent_asks_for_nobody(
    box: Callable[[Case], None], sent: int | None, record: dict[str, object], asks: bool
) -> None:
    def case(box: Box) -> None:
        session = box.run("sleep", "9", tty=False)
        if sent is not None:
            session.was_sent(sent)
        box.says(session, type="exited", record={**record, "stdout": 0, "stderr": 0})
        assert session.ended
        assert (box.look() is not None) is asks
        assert (session.row.acknowledged_at is None) is asks

    box(case)


@pytest.mark.parametrize(
    ("record", "asks"),
    [
        ({"reason": "signaled", "signal": 15}, False),
        ({"reason": "signaled", "signal": 9}, False),  # it did not heed the first
        ({"reason": "exited", "code": 143}, False),
        ({"reason": "exited", "code": 1}, True),
        (None, False),  # its machine ended under it
    ],
)
def test_one_that_ended_with_a_sandbox_that_was_stopped_asks_for_nobody(
    box: Callable[[Case], None], record: dict[str, object] | None, asks: bool
) -> None:
    def case(box: Box) -> None:
        session = box.run("sleep", "9", tty=False)
        box.sessions.stopping()
        if record is not None:
            box.says(session, type="exited", record={**record, "stdout": 0, "stderr": 0})
        else:
            box.sessions.machine_gone("stopped")
        assert session.ended
        assert (box.look() is not None) is asks

    box(case)


def test_what_ended_badly_until_somebody_has_seen_it(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        first, second = box.run("sh", "-c", "make\ntest", tty=False), box.run("false", tty=False)
        box.ends(first, 2)
        assert box.look() == Attention(Why.SESSION, "exit 2: make test", first.row.id)
        assert facts_of(first).text == "exit 2"
        box.ends(second, 1)
        assert box.look() == Attention(Why.SESSION, "exit 1: false (+1)", second.row.id)
        for session in (first, second):
            box.sessions.acknowledge(session)
            assert facts_of(session).text is None
        assert box.look() is None

    box(case)


def test_the_cause_stands_in_for_the_command(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        session = box.run("./work", tty=False)
        box.says(session, type="waiting", who="")
        assert [*session.output.credits(anew=True)]
        session.output.take(Data(session.base + 2, 0, b"Traceback:\n  at 1\nValueError: boom\n"))
        session.output.store()
        record = {"reason": "exited", "code": 3, "stdout": 0, "stderr": 35}
        box.says(session, type="exited", record=record)
        assert box.look() == Attention(Why.SESSION, "exit 3 · ValueError: boom", session.row.id)
        assert facts_of(session).text == "exit 3 · ValueError: boom"
        found = of_sandbox(cast("Sandbox", box), 1000.0)
        assert found is not None
        assert found.at == session.row.ended_at is not None
        box.ends(box.run("false", tty=False), 1)
        box.sessions.acknowledge(box.made[-1])
        assert box.look() is not None

    box(case)


def test_an_acknowledgement_is_taken_back(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        ended, waits = box.run("false", tty=False), box.run("sh", "deploy.sh")
        box.ends(ended, 1)
        box.says(waits, type="waiting", who="leader")
        for session in (ended, waits):
            box.sessions.acknowledge(session)
            assert facts_of(session).text is None
            box.sessions.acknowledge(session, undo=True)
            assert facts_of(session).text is not None
        assert box.look() == Attention(Why.SESSION, "exit 1: false", ended.row.id)

    box(case)


def test_who_killed_it(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        killed = {"reason": "signaled", "signal": 9, "stdout": 0, "stderr": 0}
        ways: list[tuple[Callable[[Session], object], str]] = [
            (lambda session: session.was_sent(9, "sandtop signal (pid 7)"), "sent by sandtop signal (pid 7)"),
            (lambda session: session.told_to_end(), "sent by its sandbox's stop"),
            (lambda session: session.abandoned(), "sent by sandtop, as its client was gone"),
            (lambda _session: None, "killed, sent in the sandbox"),
        ]
        for told, cause in ways:
            session = box.run("sleep", "9", tty=False)
            told(session)
            box.says(session, type="exited", record=killed)
            assert session.record is not None
            assert session.record.cause == cause

    box(case)


def test_trouble_of_its_own_goes_first(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        box.ends(box.run("false", tty=False), 1)
        box.trouble = "its agent does not answer"
        assert box.look() == Attention(Why.TROUBLE, "its agent does not answer")

    box(case)


@pytest.mark.parametrize(("state", "why"), [(State.FAILED, Why.FAILED), (State.LOST, Why.LOST)])
def test_its_failure_goes_before_all(box: Callable[[Case], None], state: State, why: Why) -> None:
    def case(box: Box) -> None:
        box.ends(box.run("false", tty=False), 1)
        box.row = SandboxRow(UUID, "box", SandboxConfig(), state.value, "it burnt", 1.0)
        assert box.look() == Attention(why, "it burnt")
        box.row = SandboxRow(UUID, "box", SandboxConfig(), state.value, "it burnt", 1.0, acknowledged_at=2.0)
        assert (seen := box.look()) is not None
        assert seen.why is Why.SESSION

    box(case)


def test_a_prompt_until_somebody_types_or_has_seen_it(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        session = box.run("sh", "deploy.sh")
        assert box.look() is None
        for _ in range(2):
            box.says(session, type="waiting", who="leader")
            expected = Attention(Why.PROMPT, "waiting at a prompt: sh deploy.sh", session.row.id)
            assert box.look() == expected
            assert facts_of(session).text == "waiting at a prompt"
            box.says(session, type="waiting", who="")
            assert box.look() is None
        box.says(session, type="waiting", who="leader")
        box.sessions.acknowledge(session)
        assert box.look() is None
        box.says(session, type="waiting", who="")
        box.says(session, type="waiting", who="leader")
        assert box.look() is not None, "another question"
        running = box.row
        box.row = dataclasses.replace(running, state=State.PAUSED.value)
        assert box.look() is None
        box.row = running
        box.ends(session, 0)
        assert box.look() is None

    box(case)


def test_a_prompt_that_somebody_has_seen_does_not_ask_again_after_a_restart_of_the_core(
    box: Callable[[Case], None],
) -> None:
    def case(box: Box) -> None:
        session = box.run("sh", "deploy.sh")
        box.says(session, type="waiting", who="leader")
        box.sessions.acknowledge(session)
        after = dataclasses.replace(box)
        (again,) = after.sessions.open
        assert after.look() is None, "the agent has not said yet whether it waits still"
        after.says(again, type="waiting", who="leader")
        assert after.look() is None
        after.says(again, type="waiting", who="")
        (later,) = (last := dataclasses.replace(after)).sessions.open
        assert not later.waiting
        last.says(later, type="waiting", who="leader")
        assert last.look() is not None, "another question"
        last.sessions.acknowledge(later)
        last.sessions.acknowledge(later, undo=True)
        (undone,) = (undo := dataclasses.replace(last)).sessions.open
        undo.says(undone, type="waiting", who="leader")
        assert undo.look() is not None

    box(case)


def test_an_idle_shell_asks_for_nobody_but_what_runs_in_it_does(box: Callable[[Case], None]) -> None:
    def case(box: Box) -> None:
        session = box.run("/bin/bash", "-l")
        box.says(session, type="waiting", who="leader")
        assert box.look() is None
        box.says(session, type="waiting", who="other")
        assert box.look() is not None

    box(case)


@pytest.mark.parametrize("who", [None, "me", 1, True, ["leader"], {}])
def test_an_agent_that_lies_about_who_waits(box: Callable[[Case], None], who: object) -> None:
    def case(box: Box) -> None:
        session = box.run("sh", "deploy.sh")
        with pytest.raises(ProtocolError, match="waits"):
            box.says(session, type="waiting", who=who)

    box(case)


def test_silence_where_a_label_asked_for_output(tmp_path: Path) -> None:
    async def main(wanted: str, expected: str | None) -> None:
        with Database(tmp_path / f"db{wanted}") as database:
            row = SandboxRow(
                UUID,
                "box",
                SandboxConfig(labels={"sandtop.silence": wanted}),
                "running",
                "",
                1.0,
                started_at=500.0,
            )
            database.add_sandbox(row)
            async with trio.open_nursery() as nursery:
                found = Box(row, database, tmp_path, nursery).look()
        assert (found and found.text) == expected

    for wanted, expected in (
        ("500", "silent for 8m"), ("501", None), ("", None), ("soon", None), ("٣", None), ("1" * 10, None)
    ):  # fmt: skip
        trio.run(main, wanted, expected)
