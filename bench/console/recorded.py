"""A scripted core for the benchmark: 200 sandboxes that change twice a second, and sessions that flood.

``python bench/console/recorded.py`` serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(
    0, str(Path(__file__).parents[2])
)  # this is run as a script, and imports the tests' scripted core

from tests.tui.fakecore import FakeCore, FakeSession, Talk, sandbox, session

from sandtop.agent.wire import Control, Data

SANDBOXES = 200
LOG_RATE = 10 << 20
"""Bytes a second of the log that ``box-001`` writes."""
PIECE = 32 * 1024
_LINE = b"\x1b[32mINFO\x1b[0m  GET /api/v1/things/%08d took \x1b[1m%3d ms\x1b[0m and was answered from the cache\r\n"
BLOCK = b"".join(_LINE % (number, number % 300) for number in range(6000))


class FloodingTalk(Talk):
    """Sends without end: a terminal as fast as it is read, a log at its rate, another as fast as it is read."""

    async def follow(self, request: dict[str, object]) -> None:
        await self.send(
            Control(
                {
                    "type": "started",
                    "session": request["session"],
                    "pid": 42,
                    "tty": True,
                    "from": 0,
                    "live_from": 0,
                }
            )
        )
        await self._pour(None)

    async def logs(self, request: dict[str, object]) -> None:
        await self._pour(LOG_RATE if str(request["session"]).startswith("1") else None)

    async def _pour(self, rate: float | None) -> None:
        begun, sent = time.monotonic(), 0
        for start in itertools.cycle(range(0, len(BLOCK) - PIECE, PIECE)):
            await self.send(Data(1, sent, BLOCK[start : start + PIECE]))
            sent += PIECE
            if rate is not None and (ahead := sent / rate - (time.monotonic() - begun)) > 0:
                await asyncio.sleep(ahead)


def change(core: FakeCore, step: int) -> None:
    """A quarter of the sandboxes look different at each step."""
    for number, raw in enumerate(core.sandboxes.values()):
        if (number + step) % 4 == 0:
            labels: Any = {"step": str(step), "group": str(number % 7)}
            raw["labels"] = labels
            raw["attention"] = "waiting at a prompt" if (number + step) % 40 == 0 else None


def main() -> None:
    now = time.time()
    boxes = [sandbox(f"box-{number:03}", started_at=now - 60 * number) for number in range(SANDBOXES)]
    flooding: tuple[FakeSession, ...] = (
        session("0", "box-000", "top", tty=True),
        session("1", "box-001", "serve"),
        session("2", "box-002", "cat", "huge"),
    )
    core = FakeCore(
        *boxes, sessions=(*flooding, *[session(f"{n:x}f", f"box-{n:03}", "work") for n in range(3, 200)])
    )
    core.talk = FloodingTalk
    with core:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for step in itertools.count():
            core.change(lambda step=step: change(core, step))  # type: ignore[misc]
            time.sleep(0.5)
            if step > 2400:
                return


if __name__ == "__main__":
    main()
