"""A command that runs in many sandboxes, and what it came to in each so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.alike import Group, Written, grouped, headline
from sandtop.core.phrases import ending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandtop.core.client.sdk import Log, SessionInfo
    from sandtop.tui.screens.run import Run
    from sandtop.tui.store import FleetView, SandboxView, SessionView

MOST_BYTES: Final = 64 << 10
"""Bytes of each stream that are kept of each sandbox."""


@dataclass(slots=True)
class Member:
    """One of the sandboxes.

    Attributes:
        session: the id of the session in which it runs; None before it was started.
        written: what it wrote and how it ended, once it has.
        reading: what it wrote is being read.
    """

    uuid: str
    name: str
    session: str | None = None
    written: Written | None = None
    reading: bool = False

    @property
    def failed(self) -> bool:
        """Whether it ended, and not with 0."""
        return self.written is not None and self.written.ended != "exit 0"


class Together:
    """``run`` in ``sandboxes``."""

    def __init__(self, run: Run, sandboxes: Sequence[SandboxView]) -> None:
        self.run = run
        self.members = {one.uuid: Member(one.uuid, one.name) for one in sandboxes}

    @property
    def pending(self) -> list[Member]:
        """The members in which the command has not ended."""
        return [one for one in self.members.values() if one.written is None]

    @property
    def failed(self) -> list[Member]:
        """The members in which the command ended, and not with 0."""
        return [one for one in self.members.values() if one.failed]

    @property
    def groups(self) -> list[Group]:
        """What the command wrote where it ended, members with the same output in one group; names are uuids."""
        return grouped((one.uuid, one.written) for one in self.members.values() if one.written is not None)

    @property
    def headline(self) -> str:
        """How many ended how, are pending, and differ."""
        return headline(self.groups, len(self.pending))

    def ended_in(self, view: FleetView) -> list[tuple[Member, SessionView]]:
        """The members whose session has ended in ``view``, and whose output is to be read now; each once."""
        found: list[tuple[Member, SessionView]] = []
        for member in self.pending:
            sandbox = view.find(member.uuid)
            if sandbox is None:
                member.written = Written("error: it was removed")
            elif member.session is not None and not member.reading:
                session = next((one for one in sandbox.sessions if one.id == member.session), None)
                if session is not None and session.ended:
                    member.reading = True
                    found.append((member, session))
        return found

    def failed_to_run(self, member: Member, why: str) -> None:
        """The command could not be started in ``member``, or its output not be read."""
        member.written = Written(f"error: {why}")

    def took(self, member: Member, info: SessionInfo, log: Log) -> None:
        """The command ended in ``member``, after ``log``."""
        ended = ending(info.reason, info.exit_code, info.signal)
        lengths = info.stdout_bytes, info.stderr_bytes
        member.written = Written(ended, log.stdout, log.stderr, lengths)

    def again(self, members: Sequence[Member]) -> None:
        """Forget how it ended in ``members``: it runs there anew."""
        for member in members:
            member.session, member.written, member.reading = None, None, False
