"""Names to addresses, by the host's own resolver, for one sandbox: bounded in number, time, and what is remembered."""

from __future__ import annotations

import socket
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.egress.addresses import parsed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from ipaddress import IPv4Address, IPv6Address

    Address = IPv4Address | IPv6Address
    Look = Callable[[str], Awaitable[list[str]]]
    """The addresses of a name, as text. Raises `socket.gaierror`."""

REMEMBERED_SECONDS: Final = 30.0
"""How long an answer is remembered: the host's resolver does not say for how long it is good."""
_MISSING_SECONDS: Final = 5.0
_SECONDS: Final = 6.0
"""How long an answer of the host's resolver is waited for."""
_MOST: Final = 512
"""Names whose answers are remembered."""
_AT_ONCE: Final = 8
"""Questions to the host's resolver, each of which takes a thread."""
_MOST_WAITING: Final = 64
_NOT_THERE: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


class Unresolved(Exception):
    """A name has no address. ``missing``: for there is none; else it could not be found out. ``str()`` says so."""

    def __init__(self, words: str, *, missing: bool) -> None:
        super().__init__(words)
        self.missing = missing


async def by_host(name: str) -> list[str]:
    """The addresses of ``name`` by the host's getaddrinfo(3), in its order."""
    found = await trio.socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Resolver:
    """Answers of ``look``, remembered for a while."""

    def __init__(self, look: Look = by_host) -> None:
        self._look = look
        self._known: OrderedDict[str, tuple[float, list[Address] | Unresolved]] = OrderedDict()
        self._turns = trio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def addresses(self, name: str) -> list[Address]:
        """At least one. Raises `Unresolved`."""
        if (known := self._remembered(name)) is None:
            if self._waiting >= _MOST_WAITING:
                raise Unresolved("the sandbox asks for too many names at once", missing=False)
            self._waiting += 1
            try:
                async with self._turns:
                    known = self._remembered(name) or await self._ask(name)
            finally:
                self._waiting -= 1
        if isinstance(known, Unresolved):
            raise Unresolved(str(known), missing=known.missing)
        return known

    def _remembered(self, name: str) -> list[Address] | Unresolved | None:
        until, known = self._known.get(name, (0.0, None))
        return known if trio.current_time() < until else None

    async def _ask(self, name: str) -> list[Address] | Unresolved:
        answer: list[Address] | Unresolved = Unresolved(
            f"the host's resolver does not answer within {_SECONDS:g} s", missing=False
        )
        with trio.move_on_after(_SECONDS):
            try:
                found = [parsed(text) for text in await self._look(name)]
                answer = [address for address in dict.fromkeys(found) if address is not None]
            except (OSError, ValueError) as error:  # and whatever the host's resolver makes of a name
                missing = isinstance(error, socket.gaierror) and error.errno in _NOT_THERE
                answer = Unresolved(
                    "there is no such name" if missing else f"the host's resolver says: {error}",
                    missing=missing,
                )
        answer = answer or Unresolved("there is no such name", missing=True)
        good_for = _MISSING_SECONDS if isinstance(answer, Unresolved) else REMEMBERED_SECONDS
        self._known[name] = trio.current_time() + good_for, answer
        self._known.move_to_end(name)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return answer
