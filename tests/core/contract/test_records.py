"""Records: dataclasses that are cheap to make."""

from __future__ import annotations

import dataclasses

import pytest

from sandtop.core.contract.sandbox import SandboxInfo
from sandtop.core.contract.session import SessionExec, SessionSignal, Window
from sandtop.core.contract.session_events import Started
from sandtop.core.contract.session_results import ExitRecord

WINDOW = Window(rows=24, columns=80)


def test_a_record_is_a_frozen_value() -> None:
    assert Window(rows=24, columns=80) == WINDOW != Window(rows=24, columns=81)
    assert WINDOW != (24, 80)
    assert hash(WINDOW) == hash(Window(rows=24, columns=80))
    assert repr(WINDOW) == "Window(rows=24, columns=80)"
    with pytest.raises(AttributeError, match="Window is read-only: cannot assign to rows"):
        WINDOW.rows = 5  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="cannot delete rows"):
        del WINDOW.rows  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError, match="unhashable"):
        hash(SessionExec(sandbox="box", id="a" * 16, argv=["true"]))


def test_a_record_is_made_of_its_fields_alone() -> None:
    with pytest.raises(TypeError, match="Window lacks columns"):
        Window(rows=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="Window has no field depth"):
        Window(rows=1, columns=1, depth=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        Window(1, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_dataclasses_take_a_record_as_theirs() -> None:
    """The SDK's records were dataclasses, and who uses them may count on that."""
    assert dataclasses.is_dataclass(WINDOW)
    assert dataclasses.replace(WINDOW, rows=5) == Window(rows=5, columns=80)
    assert dataclasses.asdict(WINDOW) == {"rows": 24, "columns": 80}
    record = ExitRecord(reason="exited", code=3)
    assert [field.name for field in dataclasses.fields(record)][:3] == ["reason", "code", "signal"]
    assert dataclasses.asdict(record)["source"] == "agent"
    assert {field.name for field in dataclasses.fields(SandboxInfo)} == SandboxInfo.fields.keys()


def test_a_request_sends_what_was_given_and_no_more() -> None:
    asked = SessionExec(sandbox="box", id="a" * 16, argv=["true"], tty=WINDOW, cwd=None)
    assert asked.message() == {
        "type": "request",
        "op": "session.exec",
        "sandbox": "box",
        "id": "a" * 16,
        "argv": ["true"],
        "tty": {"rows": 24, "columns": 80},
        "cwd": None,
    }
    assert asked.stdin is False
    assert SessionSignal(session="a", signal=9).message().keys() == {"type", "op", "session", "signal"}


def test_an_event_sends_all_its_fields() -> None:
    event = Started(session="a", pid=None, tty=True, from_=3, live_from=7)
    assert event.message() == {
        "type": "started", "session": "a", "pid": None, "tty": True, "from": 3, "live_from": 7,
    }  # fmt: skip
