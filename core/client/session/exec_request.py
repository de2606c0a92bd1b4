"""The request that starts a session. It is put together here alone, whoever starts it."""

from __future__ import annotations

from sandtop.core.client.link.plain import new_id
from sandtop.core.contract.session import SessionExec, Window

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from sandtop.core.contract.session import Builtin


def execution(
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
    tty: tuple[int, int] | None = None,
    labels: Mapping[str, str] | None = None,
    detach: bool = False,
    on_hangup: Literal["keep", "kill"] = "keep",
    terminal: bool = False,
    label: str | None = None,
) -> SessionExec:
    """A new session that runs ``argv``, ``script`` or ``builtin``, under an id that nobody else has.

    ``tty`` is the size of its terminal (rows, columns); all else as in `SessionExec`.
    """
    return SessionExec(
        sandbox=sandbox,
        id=new_id(),
        argv=argv,
        script=script,
        builtin=builtin,
        env=dict(env or {}),
        cwd=cwd,
        user=user,
        timeout=timeout,
        rlimits=dict(rlimits or {}),
        stdin=stdin,
        tty=None if tty is None else Window(rows=tty[0], columns=tty[1]),
        labels=dict(labels or {}),
        detach=detach,
        on_hangup=on_hangup,
        terminal=terminal,
        label=label,
    )


def takes_input(request: SessionExec) -> bool:
    """Whether the session of ``request`` has an input: on a terminal it always has."""
    return request.stdin or request.tty is not None
