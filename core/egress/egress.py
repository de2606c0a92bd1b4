"""The way out of one sandbox: what its agent passes on is decided by the list, carried, and logged."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from sandtop.core.egress.addresses import HOST, LOOPBACK, NAMES, parsed, what_is
from sandtop.core.egress.history import Entry, History
from sandtop.core.egress.keys import Keyed, Keys
from sandtop.core.egress.resolver import Resolver, Unresolved, by_host
from sandtop.core.egress.rules import MOST_NAME, WEB_PORTS, Rules, is_name
from sandtop.core.egress.saying import MOST_BYTES, Unsaid, said
from sandtop.core.egress.secrets import TLS_PORT, Unknown
from sandtop.core.errors import SandtopError
from sandtop.core.ports import carry, reset_when_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Address, IPv6Address

    from sandtop.core.channel import GuestConnection
    from sandtop.core.channel.connections import Link
    from sandtop.core.egress.history import Tell
    from sandtop.core.egress.resolver import Look

    Address = IPv4Address | IPv6Address

log = logging.getLogger(__name__)
_SAYING_SECONDS: Final = 10.0
"""How long a client may take to name the host that it means."""
_CONNECT_SECONDS: Final = 10.0
"""How long connecting to one address may take."""
_MOST_TRIED: Final = 4
"""Addresses of a name that are tried."""
_CHUNK: Final = 16 * 1024
_MOST_PIECES: Final = 64
"""Pieces in which a client may send the name of its host: each is looked at together with all before it."""
_STRAYS: Final = {
    "ipv4": "UDP and ICMP have no way out; the guest's kernel does not tell where they were to go",
    "ipv6": "IPv6 has no way out; the guest's kernel does not tell where it was to go",
}
_MOST_STRAYS: Final = 1 << 40
_NO_NAME: Final = "(no name)"


class Refused(Exception):
    """The allow-list does not allow a connection. ``str()`` says why, in words for whoever made the list."""


class Unreachable(Exception):
    """A connection is allowed, and cannot be made. ``str()`` says why."""


class Egress:
    """`told` takes what the agent of the sandbox says; ``lines`` gives its list as it is now.

    ``tell`` gives what adds to its events; connections are carried in ``nursery``.

    Attributes:
        keys: its secrets, and what is needed to put them in.
    """

    def __init__(
        self,
        lines: Callable[[], tuple[str, ...]],
        tell: Callable[[], Tell],
        nursery: trio.Nursery,
        look: Look = by_host,
        keys: Keys | None = None,
    ) -> None:
        self._lines = lines
        self.keys = keys or Keys(lambda: (), lambda: Path())
        self._read: tuple[tuple[str, ...], Rules] = (), Rules(())
        self._nursery = nursery
        self._resolver = Resolver(look)
        self.history = History(tell)
        self._open: dict[Entry, trio.CancelScope] = {}

    def _rules(self) -> Rules:
        if self._read[0] != (lines := self._lines()):
            self._read = lines, Rules.of(lines)
        return self._read[1]

    def told(self, link: Link, message: Mapping[str, object]) -> bool:
        """Take a message of the agent's; whether it was news. Raises ProtocolError."""
        if message["type"] == "resolve":
            return self._asked(link, message)
        if message["type"] == "strays":
            return self._strayed(message)
        connection = link.connections.dialed(message)
        if connection is None:
            return False
        host, port = _host(message.get("host")), message.get("port")
        if not isinstance(port, int) or not 0 <= port < 65536:
            connection.reset()
            return False
        self._nursery.start_soon(self._serve, connection, host, port)
        return True

    def end_unallowed(self) -> int:
        """End what is carried and no longer allowed; how many that were."""
        ended = 0
        for entry, scope in list(self._open.items()):
            if not self._allows(entry.host, entry.port or 0):
                scope.cancel()
                ended += 1
        return ended

    def _allows(self, host: str, port: int) -> bool:
        rules, address = self._rules(), parsed(host)
        return rules.allows_name(host, port) if address is None else rules.allows_address(address, port)

    def _strayed(self, message: Mapping[str, object]) -> bool:
        """Record what the guest's kernel refused, of which nothing but the number is known; whether there was any."""
        found = False
        for kind, what in _STRAYS.items():
            count = message.get(kind)
            if isinstance(count, int) and 0 < count < _MOST_STRAYS:
                self.history.refused(self.history.begin("(any)", None), what, times=count)
                found = True
        return found

    # names

    def _asked(self, link: Link, message: Mapping[str, object]) -> bool:
        number, name = message.get("seq"), _host(message.get("name"))
        if not isinstance(number, int):
            return False
        if name != _NO_NAME and self._rules().knows(name):
            self._nursery.start_soon(self._resolve, link, number, name)
            return True
        self.history.refused(self.history.begin(name, None), "the name is not on the list")
        _answer(link, number, "refused")
        return False  # or it would be heard as often as it likes

    async def _resolve(self, link: Link, number: int, name: str) -> None:
        """Tell the agent whether ``name`` is there: a program is then told an address that its agent made up."""
        code = "failed"
        try:
            addresses = await self._resolver.addresses(name)
            if not any(self._may(name, address) for address in addresses):
                self.history.refused(self.history.begin(name, None), _leads(addresses))
                code = "refused"
            else:
                code = "ok"
        except Unresolved as error:
            code = "no-such-name" if error.missing else "failed"
            if not error.missing:
                self.history.refused(self.history.begin(name, None), str(error), allowed=True)
        except Exception:
            log.exception("a fault of ours on a name that a sandbox asked for")
        _answer(link, number, code)

    def _may(self, name: str, address: Address, port: int | None = None) -> bool:
        """Whether ``name`` may lead to ``address``, on ``port`` or on any that is allowed."""
        if what_is(address) is None:
            return True
        rules = self._rules()
        return any(rules.allows_address(address, each) for each in ([port] if port else rules.ports(name)))

    # connections

    async def _serve(self, guest: GuestConnection, host: str, port: int) -> None:
        """Decide about one connection, and carry it."""
        entry = self.history.begin(host, port)
        try:
            try:
                keyed = await self._keyed(host, port)
                head, local, address = await self._admit(guest, host, port, tls=keyed is not None)
            except Refused as refusal:
                self.history.refused(entry, str(refusal))
            except Unreachable as failure:
                self.history.refused(entry, str(failure), allowed=True)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.history.refused(entry, "the program gave up", allowed=True)
            else:
                self.history.carried(entry, address)
                await self._carry(entry, guest, local, head, keyed)
        except Exception:
            # one connection, whatever went wrong on it, is not the end of all the others
            log.exception("a fault of ours on a connection out of a sandbox")
        finally:
            if guest.closed_at is None:
                guest.reset()

    async def _keyed(self, host: str, port: int) -> Keyed | None:
        """What is needed to put secrets into what is sent there; None where there are none. Raises `Unreachable`."""
        try:
            return await self.keys.to(host, port)
        except Unknown as error:
            raise Unreachable(str(error)) from None
        except SandtopError as error:
            raise Unreachable(error.message) from None

    async def _admit(
        self, guest: GuestConnection, host: str, port: int, *, tls: bool
    ) -> tuple[bytes, trio.SocketStream, str]:
        """What the client has sent, and a connection to whom it means, with its address. With ``tls`` it has to have
        begun that, on whatever port. Raises `Refused` …"""
        if host == _NO_NAME:
            raise Refused("no host can have the name that was asked for")
        address = parsed(host)
        if address is not None:
            target = self._by_address(address, port)
            return b"", await _connected([target], port), str(target)
        head = await self._by_name(guest, host, port, tls=tls)
        try:
            found = await self._resolver.addresses(host)
        except Unresolved as error:
            raise Unreachable(str(error)) from None
        allowed = [each for each in found if self._may(host, each, port)]
        if not allowed:
            raise Refused(_leads(found))
        local = await _connected(allowed[:_MOST_TRIED], port)
        return head, local, str(local.socket.getpeername()[0])

    def _by_address(self, address: Address, port: int) -> Address:
        """Where a connection to ``address`` goes. Raises `Refused`."""
        if self._rules().allows_address(address, port):
            return LOOPBACK if address == HOST else address
        if address in NAMES:
            raise Refused("no name has this address (any more): the program has to ask for the name again")
        what = what_is(address)
        raise Refused(
            "the address is not on the list, and was not found by a name that is"
            + (f"; it is {what}" if what else "")
        )

    async def _by_name(self, guest: GuestConnection, host: str, port: int, *, tls: bool) -> bytes:
        """What the client sent to say whom it means, where it has to say that. Raises `Refused`."""
        rules = self._rules()
        if not rules.allows_name(host, port):
            ports = rules.ports(host)
            if not ports:
                raise Refused("the name is not on the list")
            raise Refused(f"the name is on the list for {_listed(ports)}, not for {port}")
        if port not in WEB_PORTS and not tls:
            return b""
        head = bytearray()
        with trio.move_on_after(_SAYING_SECONDS):
            for _ in range(_MOST_PIECES):
                try:
                    name = said(TLS_PORT if tls else port, bytes(head)) if head else None
                except Unsaid as error:
                    raise Refused(f"the client {error}") from None
                if name == host:
                    return bytes(head)
                if name is not None:
                    raise Refused(f"the client asked this host for another, {name[:100]}")
                if len(head) > MOST_BYTES:
                    raise Refused(f"the client sent {MOST_BYTES // 1024} KiB without naming the host")
                piece = await guest.receive_some(_CHUNK)
                if not piece:
                    raise Refused("the client ended without naming the host")
                head += piece
            raise Refused(f"the client did not name the host in the first {_MOST_PIECES} pieces that it sent")
        raise Refused(f"the client did not name the host within {_SAYING_SECONDS:g} s")

    async def _carry(
        self,
        entry: Entry,
        guest: GuestConnection,
        local: trio.SocketStream,
        head: bytes,
        keyed: Keyed | None,
    ) -> None:
        why: str | None = "it was reset"
        try:
            with trio.CancelScope() as scope:
                self._open[entry] = scope
                if not self._allows(entry.host, entry.port or 0):  # not since it was admitted
                    scope.cancel()
                reset_when_closed(local)
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    if keyed is not None:
                        why = await keyed.carry(entry, guest, local, head)
                        return
                    if head:
                        await local.send_all(head)
                        entry.sent += len(head)
                    if await carry(local, guest, entry):
                        why = None
            if scope.cancelled_caught:
                why = "it is no longer allowed"
        finally:
            del self._open[entry]
            self.history.ended(entry, why)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(local)


def _host(said: object) -> str:
    """The address or the name that an agent says, and `_NO_NAME` where it is neither: it may say anything."""
    name = said.lower() if isinstance(said, str) and len(said) <= MOST_NAME else _NO_NAME
    return name if is_name(name) or parsed(name) is not None else _NO_NAME


def _answer(link: Link, number: int, code: str) -> None:
    link.send({"type": "resolved", "seq": number, "code": code})


def _leads(addresses: list[Address]) -> str:
    address = addresses[0]
    return f"the name leads to {address}, which is {what_is(address)}; allow that address to reach it"


def _listed(ports: list[int]) -> str:
    return ("port " if len(ports) == 1 else "ports ") + " and ".join(map(str, ports))


async def _connected(addresses: list[Address], port: int) -> trio.SocketStream:
    """A connection to the first that takes one. Raises `Unreachable` with the reason of the first."""
    reason = ""
    for address in addresses:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        made = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            with trio.move_on_after(_CONNECT_SECONDS):
                await made.connect((str(address), port))
                return trio.SocketStream(made)
            reason = reason or f"{address} did not answer within {_CONNECT_SECONDS:g} s"
        except OSError as error:
            reason = reason or f"{address}: {os.strerror(error.errno) if error.errno else error}"
        except BaseException:
            made.close()
            raise
        made.close()
    raise Unreachable(reason)
