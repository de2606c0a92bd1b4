"""Passes on what programs ask the resolver, and what they connect to; the core answers, and carries the bytes."""

from __future__ import annotations

import _socket

from ..loop import READ
from ..wire import values
from . import dns
from .names import Names
from .strays import counted

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from ..connections import Connections
    from ..loop import Loop, Timer
    from .wayout import WayOut

    Message = dict[str, object]

_A_TURN: Final = 64
"""Questions, and connections, that are taken before others have their turn."""
_MOST_ASKED: Final = 256
"""Questions that wait for the core's answer; of more the resolver says at once that it failed."""
_PATIENCE: Final = 8.0
"""Seconds for the core to answer, which asks the host's resolver. Programs give up after 5 s (resolv.conf(5)) and ask
again."""
_TTL: Final = 60
_LOOK_AGAIN: Final = 5.0
"""Seconds between two looks at what had no way out."""
_CODES: Final = {"ok": dns.OK, "no-such-name": dns.NO_SUCH_NAME, "refused": dns.NO_SUCH_NAME}


class Egress:
    """The way out by ``way``. ``say`` sends a message to the core; it returns whether there is one to take it."""

    def __init__(
        self, loop: Loop, way: WayOut, connections: Connections, say: Callable[[Message], bool]
    ) -> None:
        self._loop = loop
        self._way = way
        self._connections = connections
        self._say = say
        self._names = Names()
        self._asked: dict[int, _Asked] = {}
        self._last = 0
        self._strays: tuple[int, int] | None = None
        self._look()
        loop.watch(way.listener.fileno(), READ, self._accept)
        loop.watch(way.resolver.fileno(), READ, self._hear)

    def clear(self) -> None:
        """The link has ended: nobody will answer."""
        for number in list(self._asked):
            self._answer(number, dns.FAILED)

    def _look(self) -> None:
        """Tell the core of what is not TCP over IPv4, if there was some."""
        try:
            now = counted()
        except (OSError, ValueError):
            return  # somebody has taken /proc away, or put something in its place
        ipv4, ipv6 = (each - before for each, before in zip(now, self._strays or now, strict=True))
        if not (ipv4 or ipv6) or self._say({"type": "strays", "ipv4": ipv4, "ipv6": ipv6}):
            self._strays = now
        self._loop.call_in(_LOOK_AGAIN, self._look)

    # connections

    def _accept(self, _events: int) -> None:
        for _ in range(_A_TURN):
            try:
                program = _accept(self._way.listener)
            except OSError:  # nobody is there, or the agent is out of descriptors: the next turn looks again
                return
            program.setblocking(False)
            meant: tuple[str, int] = program.getsockname()  # it is of IPv4
            address, port = meant
            self._connections.dial(program, self._names.name(address) or address, port)

    # names

    def _hear(self, _events: int) -> None:
        for _ in range(_A_TURN):
            try:
                packet, sender = self._way.resolver.recvfrom(dns.MOST_BYTES)
            except OSError:  # BlockingIOError, or what became of an answer
                return
            try:
                question = dns.Question(packet)
            except ValueError:
                continue
            self._take(question, sender)

    def _take(self, question: dns.Question, sender: tuple[str, int]) -> None:
        name = question.name
        if question.error != dns.OK:
            self._send(question.answer(question.error), sender)
        elif name is None or name.endswith(".arpa"):  # no host has such a name, and no address here one
            self._send(question.answer(dns.NO_SUCH_NAME), sender)
        elif len(self._asked) >= _MOST_ASKED:
            self._send(question.answer(dns.FAILED), sender)
        else:
            self._last = number = self._last % (1 << 31) + 1
            patience = self._loop.call_in(_PATIENCE, lambda: self._answer(number, dns.FAILED))
            self._asked[number] = _Asked(question, sender, patience)
            if not self._say({"type": "resolve", "seq": number, "name": name}):
                self._answer(number, dns.FAILED)

    def resolved(self, message: Message) -> None:
        """What the core answers. Raises InvalidMessage."""
        number, code = values.integer(message, "seq"), values.text(message, "code")
        self._answer(number, _CODES.get(code, dns.FAILED))

    def _answer(self, number: int, code: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is None:
            return
        self._loop.cancel(asked.patience)
        question, address = asked.question, None
        if code == dns.OK and question.kind == dns.A and question.name is not None:
            address = _socket.inet_aton(self._names.address(question.name))
        self._send(question.answer(code, address, _TTL), asked.sender)

    def _send(self, packet: bytes, sender: tuple[str, int]) -> None:
        try:
            self._way.resolver.sendto(packet, sender)
        except OSError:
            return  # the program is gone, or takes no more: it will ask again


def _accept(listener: _socket.socket) -> _socket.socket:
    # what socket.accept() is made of; it has no types
    fd, _ = listener._accept()  # type: ignore[attr-defined]  # pyright: ignore
    return _socket.socket(fileno=int(fd))  # pyright: ignore[reportUnknownArgumentType]


class _Asked:
    """A question that waits for the core's answer."""

    __slots__ = ("patience", "question", "sender")

    def __init__(self, question: dns.Question, sender: tuple[str, int], patience: Timer) -> None:
        self.question = question
        self.sender = sender
        self.patience = patience
