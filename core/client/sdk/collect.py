"""What a command wrote, collected, and honest about what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.client.session.ending import outcome
from sandtop.core.client.session.events import Gap, Stderr, Stdout

if TYPE_CHECKING:
    from sandtop.core.client.session.events import ExitRecord
    from sandtop.core.client.session.stream import EventStream

MAX_OUTPUT: Final = 16 << 20
"""Bytes of each stream that a collecting exec keeps, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote, and how it ended.

    Attributes:
        exit_code: the exit status that a shell would give: its own, 128+N for signal N, 124 for a timeout.
        stdout, stderr: bytes, as written; with a tty all is in ``stdout``.
        truncated: whether bytes are missing, because there were more than ``max_output`` or the log's cap took them.
            The session's log has all that the cap let it keep: `Sandbox.logs`.
        session: the session's id.
        record: the whole exit record.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    truncated: bool
    session: str
    record: ExitRecord

    @property
    def text(self) -> str:
        """``stdout`` as text; what is not UTF-8 becomes U+FFFD."""
        return self.stdout.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Log:
    """What a session has written. ``truncated`` says that bytes of it are missing."""

    stdout: bytes
    stderr: bytes
    truncated: bool


class _Kept:
    """The beginning of what a command wrote."""

    def __init__(self, most: int) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.truncated = False
        self._most = most

    def take_all(self, stream: EventStream) -> None:
        """Take the events that have come."""
        while (event := stream.take()) is not None:
            if isinstance(event, Stdout):
                self._append(self.stdout, event.data)
            elif isinstance(event, Stderr):
                self._append(self.stderr, event.data)
            elif isinstance(event, Gap):
                self.truncated = True

    def _append(self, kept: bytearray, data: bytes) -> None:
        room = self._most - len(kept)
        if len(data) > room:
            self.truncated = True
            data = data[:room]
        kept += data


async def collect(stream: EventStream, sandbox: str, most: int) -> Output:
    """Move ``stream`` to its end and keep ``most`` bytes of each stream. Raises what `outcome` does."""
    kept = _Kept(most)
    while stream.record is None:
        await stream.advance()
        kept.take_all(stream)
    record, result = stream.record, stream.following.result
    assert result is not None
    return Output(
        exit_code=outcome(result, sandbox),
        stdout=bytes(kept.stdout),
        stderr=bytes(kept.stderr),
        truncated=kept.truncated,
        session=stream.following.session or "",
        record=record,
    )


async def collect_log(stream: EventStream, most: int) -> Log:
    """The same for a log, which ends without a record."""
    kept = _Kept(most)
    while stream.following.result is None:
        await stream.advance()
        kept.take_all(stream)
    return Log(bytes(kept.stdout), bytes(kept.stderr), kept.truncated)
