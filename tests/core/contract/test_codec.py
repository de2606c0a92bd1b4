"""JSON to records: what is taken, and which error says what is wrong with the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandtop.core.contract import operations
from sandtop.core.contract.codec import decode_event, decode_request, decode_result, result_of
from sandtop.core.contract.record import Nothing, Record
from sandtop.core.contract.sandbox import SandboxAnswer, SandboxCreate, SandboxPause, SandboxStart
from sandtop.core.contract.session import (
    SessionAcknowledge,
    SessionExec,
    SessionFollow,
    SessionLogs,
    SessionScreen,
    Window,
)
from sandtop.core.contract.session_events import Drawn, Resize
from sandtop.core.contract.session_results import ExitRecord, ScreenAnswer, SessionInfo
from sandtop.core.errors import CoreFailure, InvalidRequest

if TYPE_CHECKING:
    from sandtop.core.contract.record import Request

Json = dict[str, object]
EXEC: Json = {"sandbox": "box", "id": "a" * 16}
SESSION: Json = {
    "id": "a" * 16, "sandbox": "box", "argv": ["true"], "tty": False, "state": "running", "labels": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", operations().values(), ids=list(operations()))
def test_every_operation_says_what_it_answers(kind: type[Request[Any]]) -> None:
    assert issubclass(result_of(kind), Record)
    with pytest.raises(InvalidRequest) as caught:
        decode_request(kind, {"type": "request", "op": kind.op, "colour": 5})
    assert f"{kind.op} has no field 'colour'" in str(caught.value)


def test_a_request_is_what_was_sent() -> None:
    asked = SessionExec(
        sandbox="box", id="a" * 16, argv=["true"], env={"A": "b"}, tty=Window(rows=1, columns=2), timeout=1.5
    )
    assert decode_request(SessionExec, json.loads(json.dumps(asked.message()))) == asked


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        (SandboxPause, {}, "sandbox.pause: the field sandbox is missing"),
        (SandboxPause, {"sandbox": None}, "sandbox.pause: the field sandbox is missing"),
        (SandboxPause, {"sandbox": 5}, "sandbox.pause: sandbox must be a text, not 5"),
        (SandboxCreate, {"name": "a", "cpus": True}, "sandbox.create: cpus must be a whole number, not True"),
        (SandboxCreate, {"name": "a", "cpus": 1.5}, "sandbox.create: cpus must be a whole number, not 1.5"),
        (SandboxCreate, {"name": "a", "cpus": 0}, "cpus must be a whole number from 1 to 64, not 0"),
        (SandboxCreate, {"name": "a", "memory": 1}, "memory must be a whole number from 128 to 4194304 MiB, not 1"),
        (SandboxCreate, {"name": "a", "network": "x"}, "network must be none, user, user:host-loopback or filtered"),
        (SandboxCreate, {"name": "a", "env": ["A=b"]}, "sandbox.create: env must be an object of texts, not ['A=b']"),
        (SandboxCreate, {"name": "a", "env": {"A": 5}}, "sandbox.create: env.A must be a text, not 5"),
        (SandboxCreate, {"name": "a", "env": {"A=B": "c"}}, "env: 'A=B' = 'c' is not a name and a text"),
        (SandboxCreate, {"name": "a", "labels": {"a": "x" * 200_000}}, "labels is larger than 131072 bytes"),
        (SandboxCreate, {"name": "a", "workdir": "x"}, "workdir must be an absolute path in the sandbox, not x"),
        (SandboxCreate, {"name": "a", "user": ""}, "user must be a text of 1 to 4,096 characters without NUL, not ''"),
        (SandboxCreate, {"name": "A b"}, "'A b' cannot be a sandbox's name"),
        (SandboxCreate, {"name": "a", "cold": "yes"}, "sandbox.create: cold must be true or false, not 'yes'"),
        (SandboxCreate, {"name": "a", "request_id": "é"}, "request_id must be at most 64 ASCII characters, not 'é'"),
        (SessionExec, {**EXEC, "id": "x"}, "id must be 16 hexadecimal digits, made by the client, not 'x'"),
        (SessionExec, {**EXEC, "argv": ["a", 5]}, "session.exec: argv must be a list of texts, not ['a', 5]"),
        (SessionExec, {**EXEC, "argv": ["a", "\0"]}, "argument 1 is no text without NUL: '\\x00'"),
        (SessionExec, {**EXEC, "tty": []}, "session.exec: tty must be an object, not []"),
        (SessionExec, {**EXEC, "tty": {"rows": 5, "depth": 8}}, "session.exec: tty has no field 'depth'"),
        (SessionExec, {**EXEC, "tty": {"rows": 5}}, "session.exec: the field tty.columns is missing"),
        (SessionExec, {**EXEC, "tty": {"rows": 5, "columns": 10_001}}, "tty.columns must be 1 to 10000, not 10001"),
        (SessionExec, {**EXEC, "timeout": float("nan")}, "timeout must be a number of seconds above 0, not nan"),
        (SessionExec, {**EXEC, "timeout": 0}, "timeout must be a number of seconds above 0, not 0"),
        (SessionExec, {**EXEC, "on_hangup": 5}, "session.exec: on_hangup must be keep or kill, not 5"),
        (SessionExec, {**EXEC, "rlimits": {"cpu": 5}}, "rlimits.cpu must be a list of whole numbers, not 5"),
        (SessionFollow, {"rows": 0}, "rows must be 1 to 10000, not 0"),
        (SessionFollow, {"stdout": -1}, "stdout must be an offset, not -1"),
        (SessionFollow, {"client": "x" * 65}, "client must be a text of 1 to 64 characters"),
        (SessionLogs, {"streams": ["stdin"]}, "session.logs: streams[0] must be stdout or stderr, not 'stdin'"),
        (SessionLogs, {"tail": 1.5}, "session.logs: tail must be a whole number, not 1.5"),
        (SessionLogs, {"since": float("inf")}, "since must be a number, 0 or more, not inf"),
        (SessionScreen, {"timeout": 10**400}, "timeout must be a number of seconds, not 1000"),
        (SessionAcknowledge, {"sandbox": "box", "sessions": "a"}, "sessions must be a list of texts, not 'a'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_of_its_field(kind: type[Request[Any]], fields: Json, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(kind, fields)
    assert says in str(caught.value)
    assert caught.value.code == "invalid-request"
    if fields.get("sandbox") == "box":
        assert caught.value.sandbox == "box"


def test_an_error_is_short_whatever_was_sent() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request(SessionExec, {**EXEC, "tty": {"rows": "x" * 100_000, "columns": 1}})
    assert len(caught.value.message) < 120
    with pytest.raises(InvalidRequest) as caught:
        decode_request(SessionExec, {**EXEC, **{f"{n}" * 1000: n for n in range(100)}})
    assert len(caught.value.message) < 200


def test_null_is_the_same_as_absent_where_it_means_nothing() -> None:
    """Clients of earlier releases send null for all that they do not say."""
    nulls: Json = dict.fromkeys(SessionExec.fields) | EXEC
    asked = decode_request(SessionExec, nulls)
    assert (asked.stdin, asked.detach, asked.on_hangup, asked.take) == (False, False, "keep", False)
    assert (asked.env, asked.tty, asked.argv) == (None, None, None)
    # but the offset of a client whose screen came by half when the core died: it wants the screen again
    assert asked.stdout is None
    assert decode_request(SessionExec, EXEC).stdout == 0


def test_fields_that_mean_nothing_any_more_are_taken() -> None:
    assert decode_request(SandboxPause, {"sandbox": "box", "force": False}) == SandboxPause(sandbox="box")
    assert decode_request(SandboxStart, {"sandbox": "box", "force": False}) == SandboxStart(sandbox="box")


def test_a_result_may_say_more_and_must_not_say_less() -> None:
    info = decode_result(
        SessionInfo, {**SESSION, "colour": "blue", "record": {"reason": "exited", "mood": 5}}
    )
    assert info.record == ExitRecord(reason="exited")
    assert decode_result(Nothing, {"type": "result"}) == Nothing()
    nameless = {name: value for name, value in SESSION.items() if name != "sandbox"}
    with pytest.raises(CoreFailure, match=r"the core's answer lacks the field session\.sandbox"):
        decode_result(ScreenAnswer, {"bytes": 5, "session": nameless})
    with pytest.raises(CoreFailure, match="the core's answer lacks the field sandbox"):
        decode_result(SandboxAnswer, {})
    with pytest.raises(
        CoreFailure, match="the core's answer makes no sense: argv must be a list of texts, not 'x'"
    ):
        decode_result(SessionInfo, {**SESSION, "argv": "x"})


def test_events_of_a_client() -> None:
    assert decode_event(Resize, {"type": "resize", "rows": 5, "columns": 6, "more": 1}).columns == 6
    assert decode_event(Drawn, {"offset": 0}).offset == 0
    for kind, message in (
        (Resize, {"rows": 5}),
        (Resize, {"rows": 0, "columns": 1}),
        (Drawn, {"offset": True}),
    ):
        with pytest.raises(InvalidRequest):
            decode_event(kind, message)
