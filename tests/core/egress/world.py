"""A small internet: a network namespace for the core, one for its hosts, and one for a guest, where the real agent is.

Nothing of it touches the network of the machine that the tests run on. A thread is in one of the namespaces, and so are
the sockets that are made in it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
import trio
from tests.agent.conftest import hosted_agent
from tests.agent.core_side import TOKEN
from tests.settings import SLOWER

from sandtop.core.channel import AgentLink
from sandtop.core.egress import OWN, RESOLVER, Egress, Keys
from sandtop.core.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from concurrent.futures import Future

    from sandtop.agent.wire import Credit, Data
    from sandtop.core.contract.net import Egress as Connection
    from sandtop.core.store import SecretRow

    T = TypeVar("T")
else:
    T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
HOSTS = {
    "git.example.org": "203.0.113.10",
    "www.example.com": "203.0.113.11",
    "other.example.net": "203.0.113.12",
}
"""Hosts of this internet, and where they are."""
CORE = "192.0.2.1"
"""The address that the core's own host has."""


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespace:
    """A network namespace, for as long as it is open, and a thread in it."""

    def __init__(self, pid: int | None = None) -> None:
        """With ``pid``: that of this process."""
        self._library = ctypes.CDLL(None, use_errno=True)
        self._thread = ThreadPoolExecutor(1)
        self.id = self.do(lambda: self._enter(pid))

    def _enter(self, pid: int | None) -> int:
        if pid is None:
            _check(self._library.unshare(_CLONE_NEWNET))
        else:
            fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                _check(self._library.setns(fd, _CLONE_NEWNET))
            finally:
                os.close(fd)
        return threading.get_native_id()

    def do(self, what: Callable[[], T]) -> T:
        return self._thread.submit(what).result(60)

    def listen(self, address: str, port: int) -> socket.socket:
        """A server in it."""
        listener = self.do(lambda: socket.create_server((address, port)))
        listener.settimeout(30)
        return listener

    def begin(self, what: Callable[[], T]) -> Future[T]:
        """As `do`, for what takes long."""
        return self._thread.submit(what)

    def ip(self, *words: str) -> None:
        """Run ip(8) in it."""
        self.do(lambda: subprocess.run(["ip", *words], check=True, capture_output=True))

    def close(self) -> None:
        self._thread.shutdown()


def client_hello(name: str | None) -> bytes:
    """What a TLS client sends first, by OpenSSL; with ``name`` as the server's."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@contextmanager
def internet() -> Generator[tuple[Namespace, Namespace]]:
    """The namespaces of the core and of the hosts, with a wire between them."""
    try:
        core = Namespace()
    except OSError as error:
        pytest.skip(f"no network namespace can be made here, which takes root: {error}")
    hosts = Namespace()
    try:
        try:
            core.ip("link", "add", "out", "type", "veth", "peer", "name", "in", "netns", str(hosts.id))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no pair of network devices can be made here: {error.stderr.decode()}")
        for namespace, device, address in ((core, "out", CORE), (hosts, "in", "192.0.2.2")):
            namespace.ip("link", "set", "lo", "up")
            namespace.ip("address", "add", f"{address}/24", "dev", device)
            namespace.ip("link", "set", device, "up")
        core.ip("route", "add", "default", "via", "192.0.2.2")
        for address in (*HOSTS.values(), "10.9.8.7", "169.254.169.254"):
            hosts.ip("address", "add", f"{address}/32", "dev", "lo")
        yield core, hosts
    finally:
        core.close()
        hosts.close()


@contextmanager
def greeting(listener: socket.socket, words: str) -> Generator[None]:
    """While in this context ``listener`` greets whoever comes with ``words``, and ends; behind it, it is closed."""

    def serve() -> None:
        while True:
            try:
                program, _ = listener.accept()
            except OSError:
                return
            with program:
                program.sendall(words.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


class _Listener:
    """What the core does with an agent's sessions is not the subject here."""

    def link_up(self, hello: Mapping[str, object]) -> None:
        assert hello["egress"] is True

    def link_down(self, reason: str) -> None:
        pass

    def message(self, message: Mapping[str, object]) -> bool:
        return False

    def data(self, frame: Data) -> bool:
        return False

    def stdin_credit(self, credit: Credit) -> bool:
        return False

    def drained(self) -> bool:
        return False


class _Inherited:
    """The way to the agent: a socket that this process has. It can be opened as often as the agent's port."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def open(self, token: str) -> trio.abc.Stream:
        try:
            return trio.SocketStream(trio.socket.from_stdlib_socket(self._sock.dup()))
        except OSError as error:
            raise ChannelError(str(error)) from error


class Answer:
    """What the resolver of the guest said: the code (RFC 1035, 4.1.1), and the address where it gave one."""

    def __init__(self, packet: bytes) -> None:
        self.code = packet[3] & 15
        self.address = socket.inet_ntoa(packet[-4:]) if struct.unpack_from("!H", packet, 6)[0] else None


def query(name: str, kind: int = 1) -> bytes:
    """A question of the domain name system."""
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


class World:
    """A guest, whose core has the allow-list ``lines`` and finds names in ``names``."""

    guest: Namespace
    egress: Egress
    link: AgentLink
    stop: Callable[[], None]

    def __init__(self, core: Namespace, hosts: Namespace) -> None:
        self.core = core
        self.hosts = hosts
        self.lines: tuple[str, ...] = ()
        self.secrets: tuple[SecretRow, ...] = ()
        self.folder = Path()
        self.trusted: Callable[[], ssl.SSLContext] = ssl.create_default_context
        self.names: dict[str, list[str]] = {name: [address] for name, address in HOSTS.items()}
        self.events: list[tuple[str, str]] = []
        self._token: trio.lowlevel.TrioToken
        self._nursery: trio.Nursery
        self._sock: socket.socket
        self._linking: trio.CancelScope

    # the core

    def begin_anew(self) -> None:
        """Allow nothing, and forget what was."""

        def anew() -> None:
            self.lines = ()
            self.secrets = ()
            self.names = {name: [address] for name, address in HOSTS.items()}
            self.events.clear()
            self._new_egress()

        self.wait_for(lambda: len(self.link.connections) == 0)
        self.await_in_core(self.link.ping)  # the agent has heard of the end of the last, too
        self.in_core(anew)

    def forget_names(self) -> None:
        """The core has to ask for all of them again."""
        self.in_core(lambda: self.egress._resolver._known.clear())  # pyright: ignore[reportPrivateUsage]

    def _new_egress(self) -> None:
        self.egress = self._made_egress()
        self.link.outward = self.egress

    def _made_egress(self) -> Egress:
        keys = Keys(lambda: self.secrets, lambda: self.folder, lambda: self.trusted())
        return Egress(lambda: self.lines, lambda: self._tell, self._nursery, self._look, keys)

    def link_anew(self) -> None:
        """The core is gone, and the next one begins its link."""
        self.in_core(self._linking.cancel)
        self.in_core(self._begin_link)
        self.await_in_core(lambda: self.link.wait_up(30.0))

    def _begin_link(self) -> None:
        self._linking = trio.CancelScope()
        self.link = AgentLink(_Inherited(self._sock), TOKEN, _Listener())
        self.link.outward = self.egress
        self._nursery.start_soon(self._run_link, self._linking)

    async def _run_link(self, scope: trio.CancelScope) -> None:
        with scope:
            await self.link.run(30.0)

    async def run(self, sock: socket.socket, up: threading.Event) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._sock, self._nursery = sock, nursery
            self.egress = self._made_egress()
            self._begin_link()
            await self.link.wait_up(30.0)
            self.stop = nursery.cancel_scope.cancel
            up.set()
            await trio.sleep_forever()

    async def _look(self, name: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        if name not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.names[name]

    def _tell(self, kind: str, message: str) -> None:
        self.events.append((kind, message))

    def in_core(self, what: Callable[[], T]) -> T:
        """Call ``what`` in the core's thread, between its tasks."""
        return trio.from_thread.run_sync(what, trio_token=self._token)

    def await_in_core(self, what: Callable[[], Awaitable[T]]) -> T:
        return trio.from_thread.run(what, trio_token=self._token)

    def allow(self, *lines: str) -> None:
        """This, and nothing else, may be reached from now on."""
        self.in_core(lambda: setattr(self, "lines", lines))

    def ended(self) -> Connection:
        """The last connection, once it has ended."""

        self.wait_for(lambda: self.egress.history.after(0)[-1].ended_at is not None)
        return self.last

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return when this holds in the core."""

        async def wait() -> None:
            with trio.fail_after(30 * SLOWER):
                while not condition():  # noqa: ASYNC110 - of what is under test nothing tells
                    await trio.sleep(0.005)

        self.await_in_core(wait)

    def log(self) -> list[Connection]:
        return self.in_core(lambda: self.egress.history.after(0))

    @property
    def last(self) -> Connection:
        return self.log()[-1]

    # the guest

    def ask(self, name: str, kind: int = 1) -> Answer:
        """What its resolver says."""

        def ask() -> bytes:
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.settimeout(30)
                sock.sendto(query(name, kind), (RESOLVER, 53))
                return sock.recv(4096)

        return Answer(self.guest.do(ask))

    def address(self, name: str) -> str:
        """Under which the guest finds ``name``, which is allowed."""
        answer = self.ask(name)
        assert answer.address is not None, (name, answer.code, self.log())
        return answer.address

    def dial(self, address: str, port: int) -> socket.socket:
        """A connection of a program in it."""

        def dial() -> socket.socket:
            return socket.create_connection((address, port), 30)

        return self.guest.do(dial)

    def outcome(self, address: str, port: int, send: bytes = b"") -> str:
        """What becomes of a connection of it that sends this and waits: ``reset``, ``ended``, or what came."""
        try:
            with self.dial(address, port) as program:
                if send:
                    program.sendall(send)
                return program.recv(4096).decode() or "ended"
        except ConnectionResetError:
            return "reset"

    # the hosts

    def listen(self, host: str, port: int) -> socket.socket:
        """A server of theirs, or of the core's own host, at the address ``host``."""

        if host not in (CORE, "127.0.0.1"):
            return self.hosts.listen(host, port)
        listener = self.in_core(lambda: socket.create_server((host, port)))
        listener.settimeout(30)
        return listener

    @contextmanager
    def serving(self, host: str, port: int) -> Generator[None]:
        """A server that greets whoever comes with its address, and ends."""
        with greeting(self.listen(host, port), host):
            yield


_PROBE = f"""
import subprocess
from sandtop.agent.egress.wayout import make_way_out
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
make_way_out("{OWN}", "{RESOLVER}")
"""


def _check_for_a_way_out() -> None:
    """Skip where the kernel of this host, or who runs the tests, cannot have one; that of guests always can."""
    probe = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", _PROBE], capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"no way out can be made here: {probe.stderr.decode().strip().rpartition(chr(10))[2]}")


@contextmanager
def world() -> Generator[World]:
    """All of it."""
    _check_for_a_way_out()
    with internet() as (core, hosts), hosted_agent(way_out=f"{OWN},{RESOLVER}") as (agent, side):
        up, made = threading.Event(), World(core, hosts)
        running = core.begin(lambda: trio.run(made.run, side.sock, up))
        try:
            assert up.wait(60), f"no link: {agent.log}"
            made.guest = Namespace(agent.pid)
            yield made
            made.guest.close()
        finally:
            if up.is_set():
                made.in_core(made.stop)
            running.result(60)
