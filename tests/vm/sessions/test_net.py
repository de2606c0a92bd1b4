"""Real guests try to get out: one with an allow-list, whose core is killed, and one on the user network.

The core is in a network namespace of its own, beside one with the hosts of a small internet. More of what a guest may
try is in tests/core/egress, where the agent is a process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.egress.tls_host import VALUE, answering_tls, echo
from tests.core.egress.world import CORE, HOSTS, client_hello, greeting, internet
from tests.settings import write_settings

from sandtop.core import paths
from sandtop.core.egress.authority import Authority
from sandtop.core.guest import GuestStore

from .conftest import PATIENCE, Home, eventually

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.core.egress.world import Namespace

_PIECE = 1 << 20
pytestmark = [pytest.mark.vm]
GIT, WWW, OTHER = HOSTS
API = "api.example.org"
"""The host of the sandbox's secret, at the address of `OTHER`."""
RULES = GIT, f"{WWW}:22", "10.0.2.2:8080", "rebound.test:22"
TRY = """
import json, socket, subprocess, sys
found = {}
def attempt(what, try_it):
    try:
        found[what] = try_it()
    except OSError as error:
        found[what] = type(error).__name__ if error.errno is None else error.strerror
def connect(host, port, send=b"", family=socket.AF_INET):
    with socket.socket(family) as sock:
        sock.settimeout(60)
        sock.connect((host, port))
        sock.sendall(send)
        return sock.recv(100).decode()
def send(kind, protocol, host):
    with socket.socket(socket.AF_INET, kind, protocol) as sock:
        sock.sendto(bytes.fromhex("0800f7ff00000000"), (host, 53))
    return "sent"
for what, host, port, data in json.loads(sys.argv[1]):
    attempt(what, lambda: connect(host, port, bytes.fromhex(data)))
attempt("ipv6", lambda: connect("2001:4860:4860::8888", 443, family=socket.AF_INET6))
attempt("udp", lambda: send(socket.SOCK_DGRAM, 0, "8.8.8.8"))
attempt("icmp", lambda: send(socket.SOCK_RAW, socket.IPPROTO_ICMP, "8.8.8.8"))
print(json.dumps(found))
"""
RAW = """
import socket, struct
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0))
for number, target in enumerate(("10.0.2.2", "127.0.0.1", "0.0.0.0", "255.255.255.255")):
    ends = socket.inet_aton("10.0.2.15") + socket.inet_aton(target)
    syn = struct.pack("!HHIIBBHHH", 41000 + number, 22, 1, 0, 0x50, 2, 65535, 0, 0)
    syn = syn[:16] + struct.pack("!H", checksum(ends + struct.pack("!HH", 6, len(syn)) + syn)) + syn[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0) + ends
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    wire.send(bytes.fromhex("52550a000202") + wire.getsockname()[4] + bytes.fromhex("0800") + head + syn)
"""
"""Connections to the host's loopback that the guest's kernel would not make, as frames of root's own."""
STAY = """
import socket
program = socket.create_connection(("%s", 22))
print("stands", flush=True)
try:
    print(program.recv(10))
except OSError as error:
    print(error.strerror)
"""


@pytest.fixture(scope="module")
def away() -> Generator[tuple[Namespace, Namespace]]:
    with internet() as (core, hosts):
        yield core, hosts


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Of whom `API` has its certificate."""
    return Authority(tmp_path_factory.mktemp("internet"))


@pytest.fixture(scope="module")
def agent(
    tmp_path_factory: pytest.TempPathFactory, away: tuple[Namespace, Namespace], signing: Authority
) -> Generator[Home]:
    """A home with a sandbox ``agent``, whose core is in the first of the namespaces and finds names in a file."""
    built = paths.find()
    GuestStore(built).prepare()
    folder = tmp_path_factory.mktemp("n")
    for each in (folder, folder.parent):
        each.chmod(0o711)
    (folder / "cache").symlink_to(built.cache)
    write_settings(folder)
    home = Home(folder)
    names = folder / "hosts"
    lines = [f"{address} {name}\n" for name, address in {**HOSTS, API: HOSTS[OTHER]}.items()]
    trusted = folder / "trusted.pem"
    trusted.write_text(signing.certificate)
    names.write_text("".join([*lines, "127.0.0.1 localhost\n", "127.0.0.1 rebound.test\n"]))
    (folder / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    start = [sys.executable, "-m", "sandtop", "core", "start"]
    mounts = (
        'mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$@"'
    )
    bind = ["unshare", "--mount", "sh", "-c", mounts, str(folder), *start]
    trusting = {**home.environment, "SSL_CERT_FILE": str(trusted)}
    away[0].do(lambda: subprocess.run(bind, check=True, env=trusting, timeout=PATIENCE, capture_output=True))
    rules = [word for rule in RULES for word in ("--allow", rule)]
    home.environment["A_TOKEN"] = VALUE
    home.do("create", "agent", "--memory", "256", "--cold", *rules, "--secret", f"KEY=env:A_TOKEN@{API}")
    del home.environment["A_TOKEN"]
    yield home
    for box in home.boxes():
        home.do("rm", "--force", box["name"])
    home.do("core", "stop", "--all")


def attempts(home: Home, *tried: tuple[str, str, int, bytes], box: str = "agent") -> dict[str, str]:
    """What became of each, in the guest."""
    given = json.dumps([(what, host, port, data.hex()) for what, host, port, data in tried])
    found: dict[str, str] = json.loads(home.do("exec", box, "--", "python3", "-c", TRY, given))
    return found


def log(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(home.do("net", "agent", "log", "--json"))
    return found


def refused(home: Home) -> dict[tuple[str, int | None], str]:
    """Why, by host and port."""
    return {(each["host"], each["port"]): each["reason"] for each in log(home) if not each["allowed"]}


def test_a_guest_that_tries(agent: Home, away: tuple[Namespace, Namespace]) -> None:
    core, hosts = away

    def request(host: str) -> bytes:
        return f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    with ExitStack() as served:
        for namespace, host, port in (
            (hosts, HOSTS[GIT], 80), (hosts, HOSTS[GIT], 443), (hosts, HOSTS[WWW], 22), (hosts, HOSTS[OTHER], 80),
            (core, "127.0.0.1", 8080), (core, "127.0.0.1", 22),
        ):  # fmt: skip
            served.enter_context(greeting(namespace.listen(host, port), f"{host}:{port}"))
        found = attempts(
            agent,
            ("http", GIT, 80, request(GIT)),
            ("tls", GIT, 443, client_hello(GIT)),
            ("ssh", WWW, 22, b""),
            ("loopback allowed", "10.0.2.2", 8080, b""),
            ("loopback", "10.0.2.2", 22, b""),
            ("other name", OTHER, 80, request(OTHER)),
            ("other host", GIT, 80, request(OTHER)),
            ("other sni", GIT, 443, client_hello(OTHER)),
            ("no sni", GIT, 443, client_hello(None)),
            ("other port", GIT, 22, b""),
            ("raw", HOSTS[OTHER], 80, request(GIT)),
            ("dns over tcp", "8.8.8.8", 53, b"\0\0"),
            ("doh", "1.1.1.1", 443, client_hello("one.one.one.one")),
            ("metadata", "169.254.169.254", 80, request("169.254.169.254")),
            ("rebound", "rebound.test", 22, b""),
        )
    nowhere, reset, no_name = (
        "Network is unreachable",
        "Connection reset by peer",
        "Name or service not known",
    )
    assert found == {
        "http": f"{HOSTS[GIT]}:80", "tls": f"{HOSTS[GIT]}:443", "ssh": f"{HOSTS[WWW]}:22",
        "loopback allowed": "127.0.0.1:8080", "loopback": reset, "other name": no_name, "other host": reset,
        "other sni": reset, "no sni": reset, "other port": reset, "raw": reset, "dns over tcp": reset, "doh": reset,
        "metadata": reset, "rebound": no_name, "ipv6": nowhere, "udp": nowhere, "icmp": nowhere,
    }  # fmt: skip
    eventually(
        lambda: sum(each["times"] for each in log(agent) if each["host"] == "(any)") >= 2
    )  # IPv6 and UDP
    why = refused(agent)
    assert why[OTHER, None] == "the name is not on the list"
    assert why[GIT, 22] == "the name is on the list for ports 80 and 443, not for 22"
    assert "link-local, where clouds keep their metadata" in why["169.254.169.254", 80]
    assert "the name leads to 127.0.0.1" in why["rebound.test", None]
    for host, port in ((HOSTS[OTHER], 80), ("8.8.8.8", 53), ("1.1.1.1", 443), ("10.0.2.2", 22)):
        assert why[host, port].startswith("the address is not on the list")
    carried = {each["host"]: each for each in log(agent) if each["address"]}
    assert carried[WWW]["received"] == len(f"{HOSTS[WWW]}:22")
    told = agent.do("events", "agent", "--kind", "refused", "--json").decode()
    assert "the client asked this host for another, other.example.net" in told


def test_a_secret_is_used_and_is_nowhere(
    agent: Home, away: tuple[Namespace, Namespace], signing: Authority
) -> None:
    listener = away[1].listen(HOSTS[OTHER], 443)
    with answering_tls(listener, signing.context(API), echo) as host:
        script = f'wget -qO- --header "Authorization: Bearer $KEY" https://{API}/; echo; echo "$KEY"'
        said = agent.do("exec", "agent", "--", "sh", "-c", script).decode()
        trusting = f"import urllib.request as u; print(u.urlopen('https://{API}/').status)"
        assert agent.do("exec", "agent", "--", "python3", "-c", trusting) == b"200\n"
    assert f"Bearer {VALUE}".encode() in host.heads[0]
    assert "*" * len(VALUE) in said
    eventually(lambda: [each["secrets"] for each in log(agent) if each["host"] == API] == [["KEY"], []])
    placeholder = said.split()[-1]
    box = agent.box("agent")
    assert box["env"]["KEY"] == placeholder
    memory = memory_of(box["pid"])
    assert memory.count(placeholder.encode()) > 0
    assert memory.count(VALUE.encode()) == 0
    told = (
        said.encode() + agent.do("inspect", "agent") + agent.do("events", "agent") + agent.do("logs", "agent")
    )
    files = [path for path in agent.path.rglob("*") if path.is_file() and "cache" not in path.parts]
    processes = [each for each in Path("/proc").glob("[0-9]*") if of_home(each, agent)]
    assert len(files) > 3
    assert len(processes) >= 2  # the core, and who looks after it
    texts = [told, *(written(path) for path in files)]
    for each in (*processes, Path(f"/proc/{box['pid']}")):
        texts += [(each / name).read_bytes() for name in ("cmdline", "environ")]
    assert any(API.encode() in text for text in texts[1 : len(files)])  # what is stored of it is found
    assert not [text[:200] for text in texts if VALUE.encode() in text]


def written(path: Path) -> bytes:
    """What is in a file, less its holes: that of a disk may have gigabytes of them."""
    found = bytearray()
    with path.open("rb", buffering=0) as file:
        at, size = 0, path.stat().st_size
        with suppress(OSError):  # there is no more
            while at < size:
                begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
                at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
                found += os.pread(file.fileno(), at - begin, begin)
    return bytes(found)


def of_home(process: Path, home: Home) -> bool:
    """Whether it was started for ``home``."""
    try:
        return f"SANDTOP_HOME={home.path}".encode() in (process / "environ").read_bytes()
    except OSError:  # it is gone
        return False


def memory_of(pid: int) -> bytearray:
    """What the machine's process has in its memory, the guest's with it, less pages that have nothing in them."""
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            bounds, rights, *_ = line.split()
            begin, end = (int(each, 16) for each in bounds.split("-"))
            if "rw" not in rights:
                continue
            for at in range(begin, end, _PIECE):
                with suppress(OSError):  # of a device
                    memory.seek(at)
                    piece = memory.read(min(_PIECE, end - at))
                    found += piece if piece.strip(b"\0") else b""
    return found


def test_a_live_change_and_a_core_that_is_killed(agent: Home, away: tuple[Namespace, Namespace]) -> None:
    listener = away[1].listen(HOSTS[WWW], 22)
    listener.settimeout(PATIENCE)

    def stay() -> str:
        session = agent.do("exec", "-d", "agent", "--", "python3", "-c", STAY % WWW).decode().strip()
        eventually(lambda: any(each["address"] and not each["ended_at"] for each in log(agent)), PATIENCE)
        eventually(lambda: agent.do("logs", "agent", session) == b"stands\n", PATIENCE)
        return session

    with listener:
        first = stay()
        agent.do("net", "agent", "deny", "--end", f"{WWW}:22")
        eventually(lambda: b"Connection reset by peer" in agent.do("logs", "agent", first), PATIENCE)
        assert attempts(agent, ("ssh", WWW, 22, b""))["ssh"] == "Name or service not known"
        assert agent.do("net", "agent", "allow", f"{WWW}:22").decode().split()[-1] == f"{WWW}:22"
        second = stay()
        server, _ = listener.accept()  # of the first
        server.close()
        server, _ = listener.accept()
        agent.kill_core()
        with server, pytest.raises(ConnectionResetError):
            server.recv(10)
        eventually(lambda: b"reset by peer" in agent.do("logs", "agent", second), PATIENCE)
        with greeting(listener, "back"):
            assert attempts(agent, ("ssh", WWW, 22, b""))["ssh"] == "back"
    assert agent.box("agent")["network"] == "filtered"


def test_the_user_network_goes_out_and_not_to_the_hosts_loopback(
    agent: Home, away: tuple[Namespace, Namespace]
) -> None:
    """From a template: the device is one of a machine that went on from a saved state."""
    core, hosts = away
    agent.do("create", "user", "--network", "user", "--memory", "256")
    with ExitStack() as served:
        for namespace, host, port in (
            (hosts, HOSTS[GIT], 22), (hosts, HOSTS[GIT], 80), (core, CORE, 81),
        ):  # fmt: skip
            served.enter_context(greeting(namespace.listen(host, port), f"{host}:{port}"))
        inside = served.enter_context(core.listen("127.0.0.1", 22))
        asked = served.enter_context(core.do(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        asked.bind(("127.0.0.53", 53))
        served.enter_context(answering(asked, {GIT: HOSTS[GIT]}))
        agent.do("exec", "user", "--", "python3", "-c", RAW)
        found = attempts(
            agent,
            ("loopback", "10.0.2.2", 22, b""),
            ("another of the network", "10.0.2.99", 22, b""),
            ("name", GIT, 22, b""),
            ("address", HOSTS[GIT], 80, b""),
            ("the host's own", CORE, 81, b""),
            box="user",
        )
        assert found == {
            "loopback": "No route to host", "another of the network": "No route to host",
            "name": f"{HOSTS[GIT]}:22", "address": f"{HOSTS[GIT]}:80", "the host's own": f"{CORE}:81",
            "ipv6": "Network is unreachable", "udp": "sent", "icmp": "sent",
        }  # fmt: skip
        inside.setblocking(False)
        with pytest.raises(BlockingIOError):
            inside.accept()


@contextmanager
def answering(asked: socket.socket, names: dict[str, str]) -> Generator[None]:
    """While in this context a resolver of these names (RFC 1035, 4.1); it is told to end by a datagram of its own."""

    def serve() -> None:
        while (question := asked.recvfrom(512))[0]:
            data, client = question
            labels, at = list[str](), 12
            while data[at]:
                labels.append(data[at + 1 : at + 1 + data[at]].decode())
                at += 1 + data[at]
            end, kind = at + 5, data[at + 2]
            address = names.get(".".join(labels)) if kind == 1 else None
            head = data[:2] + (b"\x81\x80" if ".".join(labels) in names else b"\x81\x83") + b"\0\1"
            head += bytes((0, address is not None)) + bytes(4)
            answer = b"" if address is None else b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
            asked.sendto(head + data[12:end] + answer, client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        asked.sendto(b"", asked.getsockname())
        thread.join()
