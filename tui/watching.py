"""The preview's eye: looks at one session at a time, again whenever that has changed, and keeps what was seen last."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sandtop.core.errors import SandtopError
from sandtop.tui.stream.glance import Glance, glance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandtop.core.client.sdk import SessionInfo

GATHER_SECONDS: Final = 0.015
"""How long it waits before it looks: the cursor may be on its way to another row."""
_LOOK_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 2.0
"""Seconds after which a look that failed is tried again."""
_KEPT: Final = 100
"""Sessions of which the last look is kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """A session to look at, and the sandbox that it is in."""

    uuid: str
    session: SessionInfo


class Watching:
    """Looks where `look_at` says; ``seen`` is called with what there is to show.

    There is one request at a time, of bounded size, and none while nobody looks. Attributes:
        trouble: why the last look failed; empty when it did not.
    """

    def __init__(self, seen: Callable[[], None]) -> None:
        self._seen = seen
        self._target: Target | None = None
        self._ahead: list[Target] = []
        self._wake = asyncio.Event()
        self._kept: OrderedDict[str, tuple[SessionInfo, Glance]] = OrderedDict()
        self._failed_at = 0.0
        self.trouble = ""

    def look_at(self, target: Target | None, ahead: Sequence[Target] = ()) -> None:
        """Look at ``target`` from now on, and when there is time at those ``ahead`` once; None: nobody looks."""
        before, self._target = self._target, target
        moved = before is None or target is None or before.session.id != target.session.id
        if moved or time.monotonic() - self._failed_at > _AGAIN_SECONDS:
            self.trouble = ""
        self._ahead = [one for one in ahead if one.session.id not in self._kept]
        if self._due is not None:
            self._wake.set()

    def last(self, session: str) -> Glance | None:
        """What was seen last of a session."""
        return self._kept[session][1] if session in self._kept else None

    @property
    def idle(self) -> bool:
        """Whether all that is to be looked at was seen as it is."""
        return self._due is None

    @property
    def _due(self) -> Target | None:
        """The session to look at next: it was never seen, or has changed since."""
        target = self._target
        if target is not None and not self.trouble and self._changed(target):
            return target
        return next((one for one in self._ahead if one.session.id not in self._kept), None)

    def _changed(self, target: Target) -> bool:
        seen = self._kept.get(target.session.id)
        return seen is None or _mark(seen[0]) != _mark(target.session)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(GATHER_SECONDS)
            while (due := self._due) is not None:
                await self._look(due)

    async def _look(self, target: Target) -> None:
        key = target.session.id
        self._ahead = [one for one in self._ahead if one.session.id != key]
        why = ""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                found = await glance(target.uuid, target.session)
        except SandtopError as error:
            why = str(error)
        except TimeoutError:
            why = "the core does not answer"
        else:
            self._kept[key] = (target.session, found)
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if self._target is not None and self._target.session.id == key:
            self.trouble, self._failed_at = why, time.monotonic()
        self._seen()


def _mark(info: SessionInfo) -> tuple[object, ...]:
    """What changes when a session's screen or log may look different."""
    return info.state, info.stdout_bytes, info.stderr_bytes
