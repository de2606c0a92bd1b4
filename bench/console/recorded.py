"""A scripted core for the benchmark: 200 sandboxes that change twice a second, and sessions that flood.

``python bench/console/recorded.py`` serves until its stdin ends.
"""

from __future__ import annotations

import itertools
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).parents[2])
)  # this is run as a script, and imports the tests' scripted core

from tests.fakecore import Conn, FakeCore, FakeSession, Message, sandbox, session

from sandtop.agent.wire import Data
from sandtop.core.contract.session_events import Started

SANDBOXES = 200
LOG_RATE = 10 << 20
"""Bytes a second of the log that ``box-001`` writes."""
PIECE = 32 * 1024
_LINE = b"\x1b[32mINFO\x1b[0m  GET /api/v1/things/%08d took \x1b[1m%3d ms\x1b[0m and was answered from the cache\r\n"
BLOCK = b"".join(_LINE % (number, number % 300) for number in range(6000))


def flood_terminal(conn: Conn, request: Message) -> None:
    """A terminal that is written to as fast as it is read, without end."""
    conn.tell(Started(session=request["session"], pid=42, tty=True, from_=0, live_from=0))
    _pour(conn, None)


def logs(core: FakeCore, conn: Conn, request: Message) -> None:
    """A log that grows without end: that of session 1 at its rate, that of 2 as fast as it is read."""
    if request.get("follow") and str(request["session"])[:1] in "12":
        _pour(conn, LOG_RATE if str(request["session"]).startswith("1") else None)
    elif (result := core.answer(conn, request)) is not None:
        conn.result(result)


def _pour(conn: Conn, rate: float | None) -> None:
    begun, sent = time.monotonic(), 0
    for start in itertools.cycle(range(0, len(BLOCK) - PIECE, PIECE)):
        conn.send(Data(1, sent, BLOCK[start : start + PIECE]))
        sent += PIECE
        if rate is not None and (ahead := sent / rate - (time.monotonic() - begun)) > 0:
            time.sleep(ahead)


def change(core: FakeCore, step: int) -> None:
    """A quarter of the sandboxes look different at each step."""
    for number, raw in enumerate(core.sandboxes.values()):
        if (number + step) % 4 == 0:
            labels: Any = {"step": str(step), "group": str(number % 7)}
            raw["labels"] = labels
            raw["trouble"] = "its agent does not answer" if (number + step) % 40 == 0 else None


def working(number: int) -> FakeSession:
    """A session of ``box-NUMBER`` that has written a screenful; each third one on a terminal."""
    one = session(f"{number:x}f", f"box-{number:03}", "work", tty=number % 3 == 0)
    lines = BLOCK[: BLOCK.index(b"\n", 1500) + 1] + b"shown by box-%03d\r\nready\r\n" % number
    one.pieces = [(time.time(), 1, lines)]
    return one


def main() -> None:
    now = time.time()
    boxes = [sandbox(f"box-{number:03}", started_at=now - 60 * number) for number in range(SANDBOXES)]
    flooding: tuple[FakeSession, ...] = (
        session("0", "box-000", "top", tty=True),
        session("1", "box-001", "serve"),
        session("2", "box-002", "cat", "huge"),
    )
    core = FakeCore(*boxes, sessions=(*flooding, *map(working, range(3, 200))))
    core.scripts |= {"session.follow": flood_terminal, "session.logs": partial(logs, core)}
    with core:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for step in itertools.count():
            core.change(partial(change, core, step))
            time.sleep(0.5)
            if step > 2400:
                return


if __name__ == "__main__":
    main()
