"""A server in a sandbox without a network is reached from the host, by clients, forwarded and published ports."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sandtop import ConnectionRefused, sync

from .conftest import PATIENCE, Home, eventually

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = [pytest.mark.vm]
HOST = "127.0.0.1"
AT_ONCE = 250
ECHO = """
import asyncio
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
kept = []  # a transport that reads nothing is in no selector: the next collection would take it, and reset the peer
async def deaf(reader, writer):
    kept.append(writer)
    writer.transport.pause_reading()
async def main():
    await asyncio.start_server(deaf, "127.0.0.1", 9)
    server = await asyncio.start_server(echo, "127.0.0.1", 7, backlog=1024)
    print("listens", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def web(home: Home) -> Generator[str]:
    """A sandbox with a web server on port 80, one on port 7 that sends back what it gets, and on 9 one that reads
    nothing; the first two are published."""
    home.do("create", "web", "--memory", "512", "--publish", "80", "--publish", "7")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDTOP_HOME", str(home.path))
        _serve(home)
    yield "web"
    home.do("rm", "--force", "web")


def _serve(home: Home) -> None:
    """Start the servers."""
    box = sync.Sandbox.get("web")
    with pytest.raises(ConnectionRefused, match="nothing listens on port 80 in web"):
        box.connect(80)
    session = home.do("exec", "-d", "web", "--", "python3", "-c", ECHO).decode().strip()
    serve = "cd /etc && exec python3 -m http.server --bind 127.0.0.1 80"
    home.do("shell", "-d", "web", serve)
    eventually(lambda: home.do("logs", "web", session) == b"listens\n", PATIENCE)

    def serves() -> bool:
        try:
            box.connect(80).close()
        except ConnectionRefused:
            return False
        return True

    eventually(serves, PATIENCE)


def published(home: Home, port: int) -> int:
    return int(home.do("port", "web", str(port)).decode().strip().rpartition(":")[2])


def fetch(port: int) -> bytes:
    """A file of the sandbox, over ``port`` of the host."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/hostname", timeout=PATIENCE) as answer:
        content: bytes = answer.read()
        return content


@contextmanager
def forwarding(home: Home, *ports: str) -> Generator[tuple[subprocess.Popen[bytes], list[int]]]:
    """``sandtop forward``, and the ports of the host on which it listens."""
    with home.popen(
        "forward", "web", *ports, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            text = b""
            while not text.endswith(b"]\n"):
                line = process.stdout.readline()
                assert line, "it ended"
                text += line
            yield process, [each["host_port"] for each in json.loads(text)]
        finally:
            process.kill()


def echoed(sock: socket.socket, data: bytes) -> bool:
    """Whether what is sent comes back."""
    sock.sendall(data)
    received = b""
    while len(received) < len(data):
        received += sock.recv(65536)
    return received == data


def connected(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), PATIENCE)


def test_a_client_a_forward_and_a_published_port_reach_it(home: Home, web: str) -> None:
    with sync.Sandbox.get(web).connect(80) as connection:
        assert connection.address == HOST
        connection.send_all(b"GET /hostname HTTP/1.0\r\n\r\n")
        answer = b""
        while data := connection.receive_some():
            answer += data
    assert answer.startswith(b"HTTP/1.0 200 OK")
    assert answer.endswith(b"\r\n\r\nweb\n")
    with forwarding(home, "80") as (_, (port,)):
        assert fetch(port) == b"web\n"
    assert fetch(published(home, 80)) == b"web\n"
    shown = home.box(web)
    assert shown["network"] == "none"
    assert [(each["guest_port"], each["listening"]) for each in shown["ports"]] == [(80, True), (7, True)]


async def _one(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    data = b"%07d" % number * 1000
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def test_many_at_once_and_one_that_is_stalled(home: Home, web: str) -> None:
    """All others go on while one client sends for ever and reads nothing."""

    async def main(port: int, deaf: int) -> None:
        _, stalled = await asyncio.open_connection(HOST, deaf)
        stalled.write(bytes(32 << 20))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(_one(port, number) for number in range(AT_ONCE)))
        assert stalled.transport.get_write_buffer_size() > 0
        stalled.transport.abort()

    with forwarding(home, "7", "9") as (_, (port, deaf)):
        asyncio.run(main(port, deaf))
    assert home.do("exec", web, "--", "echo", "on") == b"on\n"


def test_the_core_is_killed_in_the_middle(home: Home, web: str) -> None:
    """Connections are reset, which no client takes for an end; the next core listens on the same ports."""
    by_itself = published(home, 7)
    with forwarding(home, "7") as (process, (forwarded,)):
        held = [connected(by_itself), connected(forwarded)]
        inside = sync.Sandbox.get(web).connect(7)
        assert all(echoed(each, b"before") for each in held)
        assert home.kill_core() is not None
        for each in held:
            with each, pytest.raises(ConnectionResetError):
                each.recv(1)
        with inside, pytest.raises(Exception, match="broke: the core went away"):
            inside.receive_some()

        def back(port: int) -> bool:
            try:
                with connected(port) as again:
                    return echoed(again, b"after")
            except OSError:
                return False

        eventually(lambda: back(by_itself), PATIENCE)
        eventually(lambda: back(forwarded), PATIENCE)
        process.terminate()
        assert process.stderr is not None
        assert b"the core came back: connections were ended, and it listens again" in process.stderr.read()


def test_a_port_that_is_taken_and_a_sandbox_that_stops(home: Home, web: str) -> None:
    taken = published(home, 80)
    done = home.run("create", "second", "--publish", f"{taken}:80")
    assert done.returncode == 125
    assert f"{HOST}:{taken} cannot lead to port 80 of second".encode() in done.stderr
    assert f"something listens on port {taken} already".encode() in done.stderr
    with forwarding(home, "80") as (process, _):
        home.do("stop", "--force", web)
        assert process.wait(PATIENCE) == 125
        assert process.stderr is not None
        assert b"ports of web are forwarded no more: it is stop" in process.stderr.read()
    with pytest.raises(ConnectionRefusedError):
        connected(taken)
