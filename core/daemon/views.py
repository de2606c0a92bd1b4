"""What clients are shown of a sandbox and a session: the contract's objects, made of the fleet's."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final, Literal, TypeVar, cast

from sandtop.core.contract.codec import decode_result
from sandtop.core.contract.mount import Mount
from sandtop.core.contract.record import Record
from sandtop.core.contract.sandbox import Alert, SandboxInfo
from sandtop.core.contract.secret import Secret
from sandtop.core.contract.session_results import ExitRecord, SessionInfo
from sandtop.core.fleet import State
from sandtop.core.fleet.attention import facts_of, of_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session
    from sandtop.core.store import MountRow

_PAGE_BYTES: Final = 768 * 1024
"""Bytes of one answer with a list: it has to fit a frame."""
Item = TypeVar("Item")
View = TypeVar("View", bound=Record)


def page(
    items: Sequence[Item], view: Callable[[Item], View], key: str, before: object
) -> tuple[list[View], bool]:
    """The views of ``items``, in order, the last of them that fit one answer; and whether there are more.

    With ``before``, the ``key`` of a view that was given earlier, of the items before that one.
    """
    found: list[View] = []
    size, passed = 0, before is None
    for item in reversed(items):
        shown = view(item)
        if not passed:
            passed = getattr(shown, key) == before
            continue
        size += len(json.dumps(shown.to_json()))
        if found and size > _PAGE_BYTES:
            return found[::-1], True
        found.append(shown)
    return found[::-1], False


def sandbox_view(sandbox: Sandbox) -> SandboxInfo:
    """The sandbox object of the protocol."""
    row, config = sandbox.row, sandbox.row.config
    running = sandbox.state in (State.RUNNING, State.PAUSED, State.STARTING, State.STOPPING)
    ownership = row.ownership if running else None
    attention = of_sandbox(sandbox, time.time())
    return SandboxInfo(
        name=row.name,
        uuid=row.uuid,
        state=row.state,
        image=config.image,
        cpus=config.cpus,
        memory=config.memory,
        disk=config.disk,
        network=config.network,
        accelerator=ownership.accelerator if ownership else None,
        pid=ownership.pid if ownership else None,
        reason=row.reason,
        created_at=row.created_at,
        started_at=row.started_at if running else None,
        labels=dict(config.labels),
        env=dict(config.env),
        workdir=config.workdir,
        shell=config.shell,
        user=config.user,
        sessions=sandbox.sessions.running,
        attention=attention.text if attention else None,
        attention_kind=attention.why.value if attention else None,
        attention_session=attention.session if attention else None,
        attention_at=attention.at if attention else None,
        warnings=list(sandbox.sessions.warnings),
        acknowledged=row.acknowledged_at is not None,
        changed_at=row.changed_at,
        alerts=[
            Alert(
                name=alert.name,
                text=alert.text,
                at=alert.at,
                session=alert.session,
                notify=alert.notify,
                acknowledged=alert.seen,
            )
            for alert in sandbox.alerts.all()
        ],
        ports=sandbox.ports.all(),
        allow=list(config.allow),
        secrets=[
            Secret(
                name=each.name,
                host=each.host,
                port=each.port,
                file=each.file,
                known=sandbox.egress.keys.vault.known(each),
            )
            for each in config.secrets
        ],
        mounts=[mount_view(each) for each in config.mounts],
        disk_used=sandbox.disk_used,
    )


def mount_view(row: MountRow) -> Mount:
    """The object of the protocol of what is mounted in a sandbox."""
    return Mount(
        type=cast("Literal['bind', 'volume', 'tmpfs']", row.type),
        source=row.source,
        target=row.target,
        read_only=row.read_only,
        size=row.size,
        mode=row.mode,
    )


def session_view(sandbox: Sandbox, session: Session) -> SessionInfo:
    """The session object of the protocol."""
    row, record = session.row, session.record
    return SessionInfo(
        id=row.id,
        sandbox=sandbox.name,
        argv=row.argv,
        argv_length=row.argv_length,
        tty=row.tty,
        state=row.state,
        exit_code=record.exit_status if record else None,
        signal=record.signal if record else None,
        reason=record.reason if record else None,
        started_at=row.started_at if row.started_at is not None else row.created_at,
        ended_at=row.ended_at,
        labels=dict(row.labels),
        pid=row.pid,
        left=session.left,
        waiting=bool(session.waiting) and not session.ending,
        attention=facts_of(session).text,
        stdout_bytes=record.stdout if record else session.log.end(1),
        stderr_bytes=record.stderr if record else session.log.end(2),
        stdin_bytes=session.input.accepted,
        attached=session.attached,
        input_holder=session.input.holder.label if session.input.holder else None,
        record=decode_result(ExitRecord, record.to_json()) if record else None,
        acknowledged=row.acknowledged_at is not None,
        foreground=(session.foreground or None) if not session.ending else None,
        last_line=session.last_line.text or None,
        output_at=session.output.heard_at or None,
    )
