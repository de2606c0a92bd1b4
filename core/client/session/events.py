"""What a streamed command tells: it started, it wrote, bytes are missing, it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sandtop.core.contract import session_results

StreamName = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Started:
    """The program runs: ``pid`` in the sandbox, ``session`` to come back to it."""

    session: str
    pid: int


@dataclass(frozen=True, slots=True)
class Stdout:
    """Bytes of stdout, or of the terminal; ``offset`` counts from the first byte that it ever wrote."""

    data: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Stderr:
    """Bytes of stderr; ``offset`` counts from the first byte that it ever wrote."""

    data: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Gap:
    """So many ``bytes`` of ``stream`` are missing here: the log's cap took them, or nobody read in time."""

    bytes: int
    stream: StreamName


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A terminal's screen, in place of the output that made it, for who follows with ``terminal``.

    ``data`` makes it on a terminal of ``size`` (rows, columns); output goes on at ``offset``. ``sizes`` are those
    that the window had later: from which offset on, rows, columns.
    """

    data: bytes
    offset: int
    size: tuple[int, int]
    sizes: list[tuple[int, int, int]]


class ExitRecord(session_results.ExitRecord):
    """How a session ended.

    Attributes:
        exit_code: the exit status that a shell would give: its own, 128+N, 124 for a timeout, 125 to 127.
        reason and all others: as in `sandtop.core.contract.session_results.ExitRecord`.
    """

    exit_code: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The end, once and last: all output came before it."""

    record: ExitRecord


Event = Started | Stdout | Stderr | Gap | Exited
