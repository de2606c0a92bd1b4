"""What clients of the last release send is taken as it was meant: null for all that they do not say."""

from __future__ import annotations

import pytest

from sandtop.core.contract import operations
from sandtop.core.contract.codec import decode_request
from sandtop.core.contract.session import SessionExec, SessionFollow, Window

Json = dict[str, object]
ID = "0123456789abcdef"
SHAPE: Json = {"cpus": None, "memory": None, "disk": None, "network": None, "accelerator": None}
EXEC: Json = {
    "sandbox": "box", "id": ID, "timeout": None, "rlimits": {}, "tty": None, "stdin": False, "env": {}, "cwd": None,
    "user": None, "labels": {}, "detach": False, "on_hangup": "keep", "argv": ["true"], "terminal": False,
}  # fmt: skip
FOLLOW: Json = {
    "sandbox": "box", "session": ID, "terminal": True, "input": True, "take": False, "client": ID,
    "label": "me@here", "rows": 24, "columns": 80,
}  # fmt: skip
LOGS: Json = {
    "sandbox": "box", "session": None, "streams": ["stdout", "stderr"], "since": None, "tail": None, "follow": False,
    "timestamps": False,
}  # fmt: skip
LOOK: Json = {"sandbox": "box", "session": None, "scrollback": False, "ansi": False, "wait_for": None}
TYPE: Json = {
    "sandbox": "box", "session": "0", "input": True, "take": True, "client": ID, "label": "l", "output": False,
}  # fmt: skip
COPY: Json = {
    "sandbox": "u", "id": ID, "user": None, "stdin": True, "detach": False, "on_hangup": "kill",
    "builtin": {"name": "tar-extract", "path": "/", "rename": True, "names": None},
}  # fmt: skip
CREATE: Json = {
    "name": "new", "image": None, **SHAPE, "env": {}, "workdir": None, "shell": None, "user": None, "labels": {},
    "cold": False, "request_id": ID,
}  # fmt: skip
SENT: list[tuple[str, Json]] = [
    ("core.status", {}),
    ("core.stop", {"all": False, "request_id": ID}),
    ("sandbox.create", CREATE),
    ("sandbox.create", {**CREATE, "ephemeral": True}),
    ("sandbox.list", {}),
    ("sandbox.list", {"before": "u"}),
    ("sandbox.inspect", {"sandbox": "box"}),
    *[(f"sandbox.{verb}", {"sandbox": "u", "force": False, "request_id": ID}) for verb in
      ("start", "stop", "restart", "pause", "resume")],
    ("sandbox.start", {"sandbox": "u", "cold": False, "accelerator": None, "request_id": ID}),
    ("sandbox.restart", {"sandbox": "u", "force": True, "cold": False, "accelerator": "tcg", "request_id": ID}),
    ("sandbox.pause", {"sandbox": "u", "request_id": ID}),
    ("sandbox.rm", {"sandbox": "u", "force": True, "keep_history": False, "request_id": ID}),
    ("sandbox.rm", {"sandbox": "u", "force": True, "request_id": ID}),
    ("sandbox.hold", {"sandbox": "box"}),
    ("sandbox.acknowledge", {"sandbox": "u"}),
    ("image.list", {}),
    ("image.build", {"name": "base", "source": None, "request_id": ID}),
    ("image.warm", {"image": "base", **SHAPE}),
    ("image.rm", {"name": "tools", "request_id": ID}),
    ("session.exec", EXEC),
    ("session.exec", {**EXEC, "argv": None, "script": "ls", "detach": True}),
    ("session.exec", {**EXEC, "tty": {"rows": 24, "columns": 80}, "terminal": True, "label": "me@here"}),
    ("session.exec", {**EXEC, "stdout": 5, "stderr": 0, "resumed": True, "take": False, "input": False}),
    ("session.exec", {"sandbox": "u", "id": ID, "detach": True, "argv": ["sh"], "env": {"TERM": "x"},
                      "tty": {"rows": 1, "columns": 1}}),
    ("session.exec", COPY),
    ("session.exec", {**COPY, "builtin": {"name": "tar-create", "paths": ["/a"]}}),
    ("session.follow", FOLLOW),
    ("session.follow", {**FOLLOW, "stdout": None, "stderr": 0, "resumed": True}),
    ("session.follow", {"sandbox": "u", "session": ID, "input": False}),
    ("session.follow", TYPE),
    ("session.logs", LOGS),
    ("session.logs", {**LOGS, "since": 1.5, "tail": 10, "follow": True, "stdout": 5, "stderr": None}),
    ("session.screen", LOOK),
    ("session.screen", {**LOOK, "wait_for": "x", "timeout": 1.5}),
    ("session.list", {}),
    ("session.list", {"sandbox": "box", "before": ID}),
    ("session.signal", {"sandbox": "box", "session": "0", "op_id": ID, "signal": 15, "scope": "leader"}),
    ("session.resize", {"sandbox": "box", "session": ID, "op_id": ID, "rows": 5, "columns": 6}),
    ("session.rm", {"sandbox": "box", "session": ID, "request_id": ID}),
    ("session.acknowledge", {"sandbox": "box", "sessions": [ID]}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "fields"), SENT)
def test_it_is_taken(op: str, fields: Json) -> None:
    request = decode_request(operations()[op], {"type": "request", "op": op, **fields})
    for name, value in fields.items():
        if name in request.fields and not isinstance(value, dict) and value is not None:
            assert getattr(request, name) == value


def test_whatever_they_ask_for_is_here() -> None:
    assert {op for op, _ in SENT} <= operations().keys()


def test_what_they_mean_by_it() -> None:
    asked = decode_request(SessionExec, EXEC)
    assert (asked.argv, asked.tty, asked.timeout, asked.stdout, asked.input) == (
        ["true"],
        None,
        None,
        0,
        None,
    )
    tty = decode_request(SessionExec, {**EXEC, "tty": {"rows": 24, "columns": 80}})
    assert tty.tty == Window(rows=24, columns=80)
    assert decode_request(SessionFollow, FOLLOW).stdout is None
