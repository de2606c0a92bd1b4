"""What runs and ran in a sandbox: the SDK's ``follow``, ``sessions``, ``signal``, ``logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.client.link.asynchronous import call, call_all
from sandtop.core.client.link.listing import session_listing
from sandtop.core.client.session.following import STDERR, STDOUT, Following, Reading
from sandtop.core.client.session.stream import EventStream
from sandtop.core.contract.session import SessionFollow, SessionLogs, SessionRemove
from sandtop.core.errors import NotFound

from .collect import MAX_OUTPUT, Log, collect_log
from .process import Process, Scope, begun, send_signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.contract.sandbox import SandboxInfo
    from sandtop.core.contract.session_results import SessionInfo


class Sessions:
    """What a sandbox has for what runs and ran in it."""

    _info: SandboxInfo

    async def follow(
        self, session: str, *, stdin: bool = False, stdout_from: int = 0, stderr_from: int = 0
    ) -> Process:
        """Come back to ``session`` (an id or the beginning of one), running or ended; leaving the block leaves it.

        Output comes from the offsets given; with ``stdin`` its input is taken too. Raises `NotFound`, and
        `WrongState` when another client holds the input.
        """
        request = SessionFollow(sandbox=self._info.uuid, session=session, input=stdin)
        following = Following(request, stdin=stdin, offsets={STDOUT: stdout_from, STDERR: stderr_from})
        process = Process(EventStream(following), self._info.name, on_exit="detach", has_stdin=stdin)
        await begun(process)
        return process

    async def sessions(self) -> Sequence[SessionInfo]:
        """Its sessions, running and ended, oldest first."""
        return await call_all(session_listing(self._info.uuid))

    async def session(self, session: str) -> SessionInfo:
        """One of its sessions, by its whole id. Raises `NotFound`."""
        listing = session_listing(self._info.uuid)
        while True:
            more = listing.take(await call(listing.request))
            for info in listing.items:
                if info.id == session:
                    return info
            if not more:
                raise NotFound(f"sandbox {self._info.name} has no session {session}", sandbox=self._info.name)

    async def signal(self, session: str, signal: int | str, *, scope: Scope = "leader") -> None:
        """Send ``signal`` (a number or a name such as ``"TERM"``) to its first process, that one's group, or all.

        With ``"all"`` it reaches also what an ended session left running. Raises `WrongState` when nothing is.
        """
        await send_signal(self._info.uuid, session, signal, scope)

    async def remove_session(self, session: str) -> None:
        """Forget an ended session and its output, and end what it left running. Raises `WrongState` while it runs."""
        await call(SessionRemove(sandbox=self._info.uuid, session=session))

    async def logs(
        self,
        session: str | None = None,
        *,
        since: float | None = None,
        tail: int | None = None,
        max_output: int = MAX_OUTPUT,
    ) -> Log:
        """What ``session`` (the latest when None) has written so far; `follow` goes on with it.

        ``since`` is in seconds since the epoch, ``tail`` a number of lines. Raises `NotFound`.
        """
        request = SessionLogs(sandbox=self._info.uuid, session=session, since=since, tail=tail)
        stream = EventStream(Reading(request, {STDOUT: 0, STDERR: 0}, session=session))
        try:
            return await collect_log(stream, max_output)
        finally:
            await stream.aclose()
