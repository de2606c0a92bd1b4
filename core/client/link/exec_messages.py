"""The message that starts a session: it is put together here alone, whoever starts it.

It is a plain message, and a test holds it to the contract's `SessionExec`: for ``sandtop exec`` importing the contract
would cost more than all else that is specific to the command. `request_of` makes the contract's record of it.
"""

from __future__ import annotations

from .plain import new_id

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    from sandtop.core.contract.session import Builtin, SessionExec


def exec_message(
    sandbox: str,
    *,
    argv: list[str] | None = None,
    script: str | None = None,
    builtin: Builtin | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    user: str | None = None,
    timeout: float | None = None,
    rlimits: Mapping[str, list[int]] | None = None,
    stdin: bool = False,
    merge: bool = False,
    tty: tuple[int, int] | None = None,
    labels: Mapping[str, str] | None = None,
    detach: bool = False,
    awaited: bool = True,
    on_hangup: Literal["keep", "kill"] = "keep",
    terminal: bool = False,
    label: str | None = None,
) -> dict[str, Any]:
    """A new session that runs ``argv``, ``script`` or ``builtin``, under an id that nobody else has.

    ``tty`` is the size of its terminal (rows, columns); all else as in `sandtop.core.contract.session.SessionExec`.
    """
    return {
        "type": "request",
        "op": "session.exec",
        "sandbox": sandbox,
        "id": new_id(),
        "argv": argv,
        "script": script,
        "builtin": None if builtin is None else builtin.to_json(),
        "env": dict(env or {}),
        "cwd": cwd,
        "user": user,
        "timeout": timeout,
        "rlimits": dict(rlimits or {}),
        "stdin": stdin,
        "merge": merge,
        "tty": None if tty is None else {"rows": tty[0], "columns": tty[1]},
        "labels": dict(labels or {}),
        "detach": detach,
        "awaited": awaited,
        "on_hangup": on_hangup,
        "terminal": terminal,
        "label": label,
    }


def request_of(message: Mapping[str, Any]) -> SessionExec:
    """``message``, which `exec_message` made, as the contract has it."""
    from sandtop.core.contract.session import Builtin, SessionExec, Window

    fields = {name: value for name, value in message.items() if name not in ("type", "op")}
    for name, kind in (("tty", Window), ("builtin", Builtin)):
        fields[name] = None if fields[name] is None else kind(**fields[name])
    return SessionExec(**fields)


def takes_input(message: Mapping[str, Any]) -> bool:
    """Whether the session of ``message`` has an input: on a terminal it always has."""
    return message["stdin"] is True or message["tty"] is not None
