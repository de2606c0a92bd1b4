"""What the console asks of the core, one function an operation. Beside ``stream`` nothing else knows the SDK."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from sandtop.core.client.sdk import Overview, Sample, Sandbox, SandboxHistory, events, follow_stats, images
from sandtop.core.errors import CoreUnavailable, NotFound
from sandtop.tui.together import MOST_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sandtop.core.client.sdk import Egress, Happening, Log, Processes, SandboxInfo, SessionInfo
    from sandtop.tui.screens.run import Run

LOOK_SECONDS: Final = 10.0
"""A look at the core that takes longer is given up, and tried again."""


async def look(overview: Overview) -> tuple[list[SandboxInfo], list[SessionInfo]]:
    """All sandboxes and sessions, the newest some thousands of them. Starts the core if need be.

    Raises `SandtopError`, also when the core does not answer in time.
    """
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await overview.look()
    except TimeoutError:
        raise CoreUnavailable(f"the core has not answered for {LOOK_SECONDS:.0f} s") from None


async def create(fields: Mapping[str, Any], progress: Callable[[str], None]) -> SandboxInfo:
    """Make a sandbox of what the form says; ``progress`` hears what it is at."""
    return (await Sandbox.create(**fields, progress=progress)).info


async def image_names() -> list[str]:
    """The images that sandboxes can be made of."""
    return [image.name for image in await images()]


async def change(uuid: str, verb: str) -> None:
    """``start``, ``stop``, ``pause``, ``resume`` or ``restart``."""
    sandbox = Sandbox.at(uuid)
    verbs: dict[str, Callable[[], Awaitable[None]]] = {
        "start": sandbox.start,
        "stop": sandbox.stop,
        "pause": sandbox.pause,
        "resume": sandbox.resume,
        "restart": sandbox.restart,
    }
    await verbs[verb]()


async def remove(uuid: str) -> None:
    """Remove a sandbox, running or not, with all that was written in it and all its history."""
    await Sandbox.at(uuid).rm(force=True)


async def run_script(uuid: str, run: Run) -> SessionInfo:
    """Start a script by the sandbox's shell, and leave it running."""
    env = {"TERM": "xterm-256color", **run.env} if run.tty else run.env
    return await Sandbox.at(uuid).shell_detached(
        run.script, cwd=run.cwd, user=run.user, env=env, timeout=run.timeout, tty=run.tty
    )


async def output_of(uuid: str, session: str) -> tuple[SessionInfo | None, Log]:
    """A session that has ended, None when it is gone, and the beginning of what it wrote."""
    sandbox = Sandbox.at(uuid)
    return await session_info(uuid, session), await sandbox.logs(session, max_output=MOST_BYTES)


async def open_shell(info: SandboxInfo, rows: int, columns: int) -> SessionInfo:
    """Start the sandbox's shell on a terminal of that size, and leave it running."""
    sandbox = Sandbox.at(info.uuid)
    return await sandbox.exec_detached(info.shell, tty=(rows, columns), env={"TERM": "xterm-256color"})


async def session_info(uuid: str, session: str) -> SessionInfo | None:
    """A session as it is now, or None when it is gone."""
    try:
        return await Sandbox.at(uuid).session(session)
    except NotFound:
        return None


async def signal(uuid: str, session: str, number: int) -> None:
    """Send a signal to all that a session started."""
    await Sandbox.at(uuid).signal(session, number, scope="all")


async def forget(uuid: str, session: str) -> None:
    """Remove an ended session and its log."""
    await Sandbox.at(uuid).remove_session(session)


async def acknowledge(uuid: str, sessions: Sequence[str], *, machine: bool, undo: bool = False) -> None:
    """Say that it was seen how ``sessions`` ended, and with ``machine`` that the sandbox itself failed.

    With ``undo`` that is taken back.
    """
    sandbox = Sandbox.at(uuid)
    if machine:
        await sandbox.acknowledge(undo=undo)
    if sessions:
        await sandbox.acknowledge(*sessions, undo=undo)


async def processes(uuid: str) -> Processes:
    """What runs in a sandbox, by its agent's word."""
    return await Sandbox.at(uuid).top()


async def happened(uuid: str, count: int) -> list[Happening]:
    """The last ``count`` events of a sandbox, oldest first."""
    return await events([uuid], limit=count)


async def reached(uuid: str) -> Sequence[Egress]:
    """What a sandbox with an allow-list connected to, or tried to, oldest first."""
    return await Sandbox.at(uuid).egress()


async def guest_console(uuid: str, lines: int) -> bytes:
    """The last lines that a sandbox's kernel and agent printed."""
    return await Sandbox.at(uuid).console(tail=lines)


async def last_hour(uuid: str, step: float) -> SandboxHistory | None:
    """What a sandbox used in the last hour, a value for each ``step`` seconds; None when the core knows nothing."""
    async with aclosing(follow_stats([uuid], history=3600.0, step=step)) as stream:
        async for item in stream:
            if isinstance(item, SandboxHistory):
                return item
            if isinstance(item, Sample):
                return None
    return None


async def inspect(uuid: str) -> dict[str, object]:
    """All that the core knows of a sandbox, as JSON has it."""
    return (await Sandbox.at(uuid).inspect()).to_json()
