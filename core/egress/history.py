"""What a sandbox connected to, and what was refused: the last of it in memory, and the news of it as events.

The guest decides how much happens, so all of it is bounded: a refusal that is like one before it is counted there, and
of events there are no more than `_BURST` at once and one in `_EVENT_SECONDS` after that, whatever happens. How many
were left out is in the next one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.contract.net import Egress
from sandtop.core.phrases import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[str, str], None]
    """Adds an event: its kind, and in words what happened."""

MOST: Final = 1000
"""Entries that are kept."""
_BURST: Final = 30
_EVENT_SECONDS: Final = 2.0
_ALIKE_SECONDS: Final = 60.0
"""How long a refusal is counted with an earlier one of the same host, port and reason."""
_MOST_HOST: Final = 255


class Entry:
    """One connection. The attributes are those of `Egress`."""

    __slots__ = (
        "address", "allowed", "at", "ended_at", "host", "id", "port", "reason", "received", "secrets", "sent", "times",
        "told",
    )  # fmt: skip

    def __init__(self, number: int, at: float, host: str, port: int | None) -> None:
        self.id = number
        self.at = at
        self.host = host
        self.port = port
        self.address: str | None = None
        self.allowed = True
        self.reason: str | None = None
        self.sent = self.received = 0
        self.secrets: list[str] = []  # never changed: another list is another object
        self.ended_at: float | None = None
        self.times = 1
        self.told = trio.current_time()

    @property
    def where(self) -> str:
        """Host and port, for people."""
        return endpoint(self.host, self.port)

    def view(self) -> Egress:
        names = [name for name in self.__slots__ if name != "told"]
        return Egress(**{name: getattr(self, name) for name in names})


class History:
    """The entries of one sandbox."""

    def __init__(self, tell: Callable[[], Tell]) -> None:
        self._tell = tell
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._alike: dict[tuple[object, ...], Entry] = {}
        self._last = 0
        self._tokens = float(_BURST)
        self._filled = trio.current_time()
        self._left_out = 0

    def after(self, number: int) -> list[Egress]:
        """The connections whose id is higher than ``number``, oldest first."""
        return [entry.view() for entry in self._entries.values() if entry.id > number]

    def begin(self, host: str, port: int | None) -> Entry:
        """A connection was asked for, of which `carried`, `refused` or `failed` will say what became of it."""
        self._last += 1
        return Entry(self._last, time.time(), host[:_MOST_HOST], port)

    def carried(self, entry: Entry, address: str) -> None:
        """The connection of ``entry`` was made, to ``address``."""
        entry.address = address
        self._keep(entry)
        self._event("connected", f"{entry.where} ({address})")

    def ended(self, entry: Entry, why: str | None) -> None:
        """A connection that was made has ended; ``why`` it broke, None where both sides closed it."""
        entry.ended_at, entry.reason = time.time(), why
        about = f": {why}" if why else ""
        used = f", with {' and '.join(entry.secrets)}" if entry.secrets else ""
        self._event(
            "disconnected",
            f"{entry.where}, {entry.sent:,} bytes sent, {entry.received:,} received{used}{about}",
        )

    def refused(self, entry: Entry, why: str, *, allowed: bool = False, times: int = 1) -> None:
        """The connection was not made: no rule allows it, or it is ``allowed`` and not possible; so many ``times``."""
        entry.allowed, entry.reason, entry.ended_at, entry.times = allowed, why, time.time(), times
        key = entry.host, entry.port, why
        earlier = self._alike.get(key)
        if earlier is not None and trio.current_time() - earlier.told < _ALIKE_SECONDS:
            earlier.times += times
            earlier.at = earlier.ended_at = entry.at
            return
        self._keep(entry)
        self._alike[key] = entry
        self._event("unreachable" if allowed else "refused", f"{entry.where}: {why}")

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.id] = entry
        if len(self._entries) > MOST:
            _, gone = self._entries.popitem(last=False)
            key = gone.host, gone.port, gone.reason
            if self._alike.get(key) is gone:
                del self._alike[key]

    def _event(self, kind: str, message: str) -> None:
        now = trio.current_time()
        self._tokens = min(_BURST, self._tokens + (now - self._filled) / _EVENT_SECONDS)
        self._filled = now
        if self._tokens < 1:
            self._left_out += 1
            return
        self._tokens -= 1
        more = f" (and {self._left_out:,} more that were left out)" if self._left_out else ""
        self._left_out = 0
        self._tell()(kind, message + more)
