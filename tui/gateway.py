"""What the console asks of the core, one function an operation. Only this module and ``stream`` import the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sandtop.core.client.link.answers import Listing, as_object, as_objects
from sandtop.core.client.link.asynchronous import call
from sandtop.core.client.link.plain import new_id
from sandtop.core.client.link.records import SandboxInfo, SessionInfo
from sandtop.core.errors import CoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOK_SECONDS: Final = 10.0
"""A look at the core that takes longer is given up, and tried again."""
PAGES: Final = 4
"""Pages of a list that are asked for, each up to a MiB: some thousands of sessions."""
Raw = dict[str, object]


async def look() -> tuple[list[Raw], list[Raw]]:
    """All sandboxes and sessions, the newest `PAGES` pages of them, as the core's JSON. Starts the core if need be.

    Raises `SandtopError`, also when the core does not answer in time.
    """
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await _newest("sandbox.list"), await _newest("session.list")
    except TimeoutError:
        raise CoreUnavailable(f"the core has not answered for {LOOK_SECONDS:.0f} s") from None


async def _newest(op: str) -> list[Raw]:
    listing = Listing(op, {})
    for _ in range(PAGES):
        if not listing.take(await call(op, listing.fields)):
            break
    return listing.items


async def create(fields: Mapping[str, object], progress: Callable[[str], None]) -> SandboxInfo:
    """Make a sandbox of what the form says; ``progress`` is called with each step that the core reports."""
    return SandboxInfo.read(as_object((await call("sandbox.create", fields, progress)).get("sandbox")))


async def change(uuid: str, verb: str, *, force: bool = False) -> None:
    """``start``, ``stop``, ``pause``, ``resume`` or ``restart``."""
    await call(f"sandbox.{verb}", {"sandbox": uuid, "force": force})


async def remove(uuid: str) -> None:
    """Remove a sandbox, running or not, with all that was written in it and all its history."""
    await call("sandbox.rm", {"sandbox": uuid, "force": True, "keep_history": False})


async def run_script(uuid: str, script: str) -> SessionInfo:
    """Start ``script`` by the sandbox's shell, and leave it running."""
    return await _detached(uuid, {"script": script, "stdin": False})


async def open_shell(info: SandboxInfo, rows: int, columns: int) -> SessionInfo:
    """Start the sandbox's shell on a terminal of that size, and leave it running."""
    tty = {"rows": rows, "columns": columns}
    return await _detached(info.uuid, {"argv": [info.shell], "tty": tty, "env": {"TERM": "xterm-256color"}})


async def _detached(uuid: str, fields: Mapping[str, object]) -> SessionInfo:
    result = await call("session.exec", {"sandbox": uuid, "id": new_id(), "detach": True, **fields})
    return SessionInfo.read(as_object(result.get("session")))


async def session_info(uuid: str, session: str) -> SessionInfo | None:
    """A session as it is now, or None when it is gone."""
    found = as_objects((await call("session.list", {"sandbox": uuid})).get("sessions"))
    return next((SessionInfo.read(item) for item in found if item.get("id") == session), None)


async def signal(uuid: str, session: str, number: int) -> None:
    """Send a signal to all that a session started."""
    fields = {"sandbox": uuid, "session": session, "op_id": new_id(), "signal": number, "scope": "all"}
    await call("session.signal", fields)


async def forget(uuid: str, session: str) -> None:
    """Remove an ended session and its log."""
    await call("session.rm", {"sandbox": uuid, "session": session})


async def acknowledge(uuid: str, sessions: Sequence[str], *, machine: bool) -> None:
    """Say that it was seen how ``sessions`` ended, and with ``machine`` that the sandbox itself failed."""
    if machine:
        await call("sandbox.acknowledge", {"sandbox": uuid})
    if sessions:
        await call("session.acknowledge", {"sandbox": uuid, "sessions": list(sessions)})


async def inspect(uuid: str) -> Raw:
    """All that the core knows of a sandbox."""
    return await call("sandbox.inspect", {"sandbox": uuid})
