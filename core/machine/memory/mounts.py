"""What is mounted in a guest without a kernel: the server that the agent forks for it, on the agent's loop and pipes.

Calls are answered as `sandtop.agent.mounting` answers them, and what was mounted is kept in a list.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from sandtop.agent.loop import READ
from sandtop.agent.wire import Control, Decoder, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandtop.agent.loop import Loop

    Fields = dict[str, object]


MOST: Final = 1 << 40
"""Bytes that a disk in memory can grow to."""


class Disks:
    """The disks of a guest: their sizes in bytes by serial, and what is mounted. The guest's driver changes them."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {"overlay": 0}
        self.mounted: list[Fields] = []

    def answer(self, call: Fields) -> Fields:
        """What the server says to ``call``."""
        serial = call.get("serial", "overlay") if call["do"] == "grow" else call.get("serial")
        if isinstance(serial, str) and serial not in self.sizes:
            return {"type": "failed", "errno": errno.ENODEV, "why": f"the kernel has seen no disk '{serial}'"}
        if call["do"] == "mount":
            self.mounted.append({name: call[name] for name in call.keys() - {"type", "do", "call"}})
            return {"type": "answer"}
        return {"type": "answer", "bytes": MOST if call["do"] == "limit" else self.sizes["overlay"]}


class MountServer:
    """One server, from its start until the core closes its stdin. Takes the descriptors over; ``over`` is told then."""

    def __init__(self, loop: Loop, disks: Disks, stdin: int, stdout: int, over: Callable[[], None]) -> None:
        self._loop = loop
        self._disks = disks
        self._stdin = stdin
        self._stdout = stdout
        self._over = over
        self._decoder = Decoder()
        os.set_blocking(stdin, False)
        loop.watch(stdin, READ, self._readable)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._stdin, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._loop.unwatch(self._stdin)
            self._over()
        for frame in self._decoder.feed(data):
            if isinstance(frame, Control) and frame.message["type"] == "call":
                answer = {**self._disks.answer(frame.message), "call": frame.message["call"]}
                os.write(self._stdout, encode(Control(answer)))
