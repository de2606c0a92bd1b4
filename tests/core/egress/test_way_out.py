"""What a guest reaches: the real agent in a network namespace of its own, the core's decisions, and hosts to reach."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.egress.strays import counted
from sandtop.agent.wire.limits import MAX_DIALED
from sandtop.core.egress import egress as subject
from sandtop.core.egress.history import MOST

from .world import CORE, HOSTS, client_hello, world

if TYPE_CHECKING:
    from collections.abc import Generator

    from .world import World

GIT, WWW, OTHER = HOSTS
NO_SUCH_NAME = 3
AAAA, HTTPS = 28, 65
HOST_LOOPBACK = "10.0.2.2"
METADATA = "169.254.169.254"
NOT_LISTED = "the address is not on the list, and was not found by a name that is"


@pytest.fixture(scope="module")
def shared() -> Generator[World]:
    with world() as made:
        yield made


@pytest.fixture
def box(shared: World) -> World:
    """A guest that may reach nothing."""
    shared.begin_anew()
    return shared


def request(host: str, target: str = "/") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode()


def refusal(box: World, address: str, port: int, send: bytes = b"") -> str:
    """Why a connection was refused; the program saw a reset."""
    assert box.outcome(address, port, send) == "reset"
    found = box.ended()
    assert (found.port, found.allowed, found.sent, found.received) == (port, False, 0, 0)
    assert found.reason is not None
    return found.reason


def fill(program: socket.socket) -> None:
    """Send until nothing more is taken, anywhere."""
    while True:
        try:
            program.send(b"x" * 65536)
        except BlockingIOError:
            return


# what is allowed


def test_an_allowed_name_is_reached_and_logged(box: World) -> None:
    box.allow(f"{GIT}:22")
    with box.serving(HOSTS[GIT], 22):
        assert box.outcome(box.address(GIT), 22) == HOSTS[GIT]
    found = box.ended()
    assert (found.host, found.port, found.address, found.allowed) == (GIT, 22, HOSTS[GIT], True)
    assert (found.sent, found.received, found.reason) == (0, len(HOSTS[GIT]), None)
    assert box.events == [
        ("connected", f"{GIT}:22 ({HOSTS[GIT]})"),
        ("disconnected", f"{GIT}:22, 0 bytes sent, {len(HOSTS[GIT])} received"),
    ]


@pytest.mark.parametrize("port", [443, 80])
def test_a_client_that_names_the_host_is_let_through_with_what_it_sent(box: World, port: int) -> None:
    box.allow("*.example.org")
    said = client_hello(GIT) if port == 443 else request(GIT.upper())
    with closing(box.listen(HOSTS[GIT], port)) as listener, box.dial(box.address(GIT), port) as program:
        program.sendall(said)
        server, _ = listener.accept()
        with server:
            server.settimeout(30)
            got = b""
            while len(got) < len(said):
                got += server.recv(65536)
            assert got == said
            server.sendall(b"welcome")
            assert program.recv(100) == b"welcome"
    assert box.ended().sent == len(said)


def test_much_goes_both_ways(box: World) -> None:
    box.allow(f"{GIT}:9")
    data = bytes(range(256)) * (1 << 14)  # 4 MiB
    with closing(box.listen(HOSTS[GIT], 9)) as listener, box.dial(box.address(GIT), 9) as program:
        server, _ = listener.accept()
        server.settimeout(30)

        def echo() -> None:
            while piece := server.recv(1 << 16):
                server.sendall(piece)
            server.close()

        def send() -> None:
            program.sendall(data)
            program.shutdown(socket.SHUT_WR)

        workers = [threading.Thread(target=echo), threading.Thread(target=send)]
        for worker in workers:
            worker.start()
        back = bytearray()
        while piece := program.recv(1 << 16):
            back += piece
        for worker in workers:
            worker.join()
    assert back == data
    found = box.ended()
    assert (found.sent, found.received, found.reason) == (len(data), len(data), None)


def test_addresses_are_reached_where_they_are_allowed(box: World) -> None:
    box.allow("203.0.113.8/29:22", f"{METADATA}:80", "10.9.8.7")
    for address, port in ((HOSTS[GIT], 22), (METADATA, 80), ("10.9.8.7", 5432)):
        with box.serving(address, port):
            assert box.outcome(address, port) == address
    assert refusal(box, HOSTS[GIT], 23) == NOT_LISTED
    assert "link-local, where clouds keep their metadata" in refusal(box, METADATA, 81)


def test_the_hosts_loopback_is_reached_where_it_is_allowed_alone(box: World) -> None:
    with box.serving("127.0.0.1", 8080):
        assert "the host's own loopback" in refusal(box, HOST_LOOPBACK, 8080)
        box.allow("10.0.0.0/8")  # which does not mean it
        assert "the host's own loopback" in refusal(box, HOST_LOOPBACK, 8080)
        box.allow(f"{HOST_LOOPBACK}:8080")
        assert box.outcome(HOST_LOOPBACK, 8080) == "127.0.0.1"
        with pytest.raises(ConnectionRefusedError):
            box.dial("127.0.0.1", 8080)  # this is the guest's own


def test_what_is_allowed_and_not_there_says_why(box: World) -> None:
    box.allow(f"{GIT}:22")
    assert box.outcome(box.address(GIT), 22) == "reset"
    found = box.ended()
    assert (found.allowed, found.reason) == (True, f"{HOSTS[GIT]}: Connection refused")


# a guest that tries


def test_a_name_that_is_not_on_the_list_is_not_there(box: World) -> None:
    box.allow(GIT)
    for name in (WWW, "dns.google", f"{GIT}.evil.test", "org", "xn--git-9na.example.org"):
        for kind in (1, AAAA, HTTPS):
            assert box.ask(name, kind).code == NO_SUCH_NAME
        found = box.last
        assert (found.host, found.port, found.allowed, found.times) == (name, None, False, 3)
        assert found.reason == "the name is not on the list"


def test_a_name_of_the_guests_own_that_leads_to_an_allowed_host(box: World) -> None:
    box.allow(GIT)
    box.names["evil.test"] = [HOSTS[GIT]]
    assert box.ask("evil.test").code == NO_SUCH_NAME


def test_a_name_on_a_port_that_is_not_on_the_list(box: World) -> None:
    box.allow(GIT, f"{GIT}:22")
    assert (
        refusal(box, box.address(GIT), 25)
        == "the name is on the list for ports 22 and 80 and 443, not for 25"
    )


@pytest.mark.parametrize("address", [HOSTS[GIT], "203.0.113.99", "8.8.8.8", CORE])
def test_an_address_in_place_of_a_name(box: World, address: str) -> None:
    box.allow(GIT)
    assert refusal(box, address, 443, client_hello(GIT)).startswith(NOT_LISTED)


@pytest.mark.parametrize(
    ("address", "port"), [("8.8.8.8", 53), ("10.0.2.3", 53), ("1.1.1.1", 443), ("1.1.1.1", 853)]
)
def test_another_resolver_by_tcp_tls_or_https(box: World, address: str, port: int) -> None:
    box.allow("*")  # any name, which is no address
    assert NOT_LISTED in refusal(
        box, address, port, b"\0\0" if port == 53 else client_hello("one.one.one.one")
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (client_hello(OTHER), f"the client asked this host for another, {OTHER}"),
        (client_hello(None), "the client named no host in its TLS hello (no SNI)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the client began no TLS"),
        (request(GIT), "the client began no TLS"),
        (client_hello(GIT)[:-1] + b"", None),
        (b"\x16\x03\x01\x00\x05\x02\0\0\x01\0", "the client began TLS without a hello"),
    ],
    ids=["another", "none", "ssh", "http", "unfinished", "no hello"],
)
def test_tls_that_names_another_host_or_none(
    box: World, said: bytes, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_SAYING_SECONDS", 0.3)
    box.allow(GIT)
    with box.serving(HOSTS[GIT], 443):
        found = refusal(box, box.address(GIT), 443, said)
    assert found == (why or "the client did not name the host within 0.3 s")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (request(OTHER), f"the client asked this host for another, {OTHER}"),
        (b"GET / HTTP/1.0\r\n\r\n", "the client named no host in its request"),
        (request(GIT, f"http://{OTHER}/"), "the client asked for another host than it named in its request"),
        (
            b"CONNECT evil.test:443 HTTP/1.1\r\nHost: git.example.org\r\n\r\n",
            "the client asked for another host",
        ),
        (request(f"{GIT}\r\nHost: {OTHER}"), "the client named more than one host in its request"),
        (
            request(f"{GIT}\r\n Host: {OTHER}"),
            "the client sent a request of HTTP whose headers can be read in two",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the client sent neither a TLS hello nor a request of HTTP"),
        (client_hello(OTHER), f"the client asked this host for another, {OTHER}"),
        (b"x" * 40_000, "the client sent 32 KiB without naming the host"),
    ],
    ids=["another", "none", "absolute", "connect", "two", "folded", "http2", "tls", "long"],
)
def test_http_that_names_another_host_or_none(box: World, said: bytes, why: str) -> None:
    box.allow(GIT)
    with box.serving(HOSTS[GIT], 80):
        assert refusal(box, box.address(GIT), 80, said).startswith(why)


@pytest.mark.parametrize(
    ("addresses", "what"),
    [
        (["127.0.0.1"], "127.0.0.1, which is the host's loopback"),
        ([METADATA], "169.254.169.254, which is link-local, where clouds keep their metadata"),
        (["10.9.8.7"], "10.9.8.7, which is of a private network"),
        ([CORE], f"{CORE}, which is the host itself"),
        (["::ffff:127.0.0.1"], "127.0.0.1, which is the host's loopback"),
        (["::1"], "::1, which is the host's loopback"),
        (["fd00::1"], "fd00::1, which is of a private network"),
        (["0.0.0.0"], "0.0.0.0, which is no host's"),
        (["198.18.0.7"], "198.18.0.7, which is for tests of networks"),
    ],
)
def test_a_name_that_leads_where_no_name_of_the_internet_does(
    box: World, addresses: list[str], what: str
) -> None:
    box.allow(f"{GIT}:8080")
    box.names[GIT] = addresses
    assert box.ask(GIT).code == NO_SUCH_NAME
    assert box.last.reason == f"the name leads to {what}; allow that address to reach it"


def test_a_name_that_leads_elsewhere_once_it_was_asked_for(box: World) -> None:
    box.allow(f"{GIT}:8080")
    address = box.address(GIT)
    box.names[GIT] = ["127.0.0.1"]
    box.forget_names()
    with box.serving("127.0.0.1", 8080):
        assert "leads to 127.0.0.1" in refusal(box, address, 8080)
        box.allow(f"{GIT}:8080", "127.0.0.1:8080")  # meant
        assert box.outcome(address, 8080) == "127.0.0.1"


def test_of_several_addresses_the_good_ones_are_taken(box: World) -> None:
    box.allow(f"{GIT}:22")
    box.names[GIT] = ["10.9.8.7", HOSTS[WWW]]
    with box.serving(HOSTS[WWW], 22), box.serving("10.9.8.7", 22):
        assert box.outcome(box.address(GIT), 22) == HOSTS[WWW]


def test_what_is_not_tcp_over_ipv4_has_no_way_out_at_all(box: World) -> None:
    box.allow("*", "0.0.0.0/0", "::/0")

    def send(
        family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: str
    ) -> int | None:
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(10)
            return sock.connect_ex((address, 53)) or sock.send(b"\x08\0\xf7\xff\0\0\0\0")

    counters = partial(counted, "/proc/thread-self/net")
    before = box.guest.do(counters)
    for family, kind, protocol, address in (
        (socket.AF_INET, socket.SOCK_DGRAM, 0, "8.8.8.8"),
        (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP, "8.8.8.8"),
        (socket.AF_INET6, socket.SOCK_STREAM, 0, "2001:4860:4860::8888"),
        (socket.AF_INET6, socket.SOCK_DGRAM, 0, "2001:4860:4860::8888"),
    ):
        found = box.guest.do(partial(send, family, kind, protocol, address))
        assert found == errno.ENETUNREACH, (family, kind)
    sent = sum(box.guest.do(counters)) - sum(before)
    assert sent >= 3  # of a raw socket's the kernel may count none
    box.wait_for(lambda: sum(each.times for each in box.egress.history.after(0)) == sent)
    ipv4, ipv6 = sorted(box.log(), key=lambda each: each.reason or "", reverse=True)
    assert (ipv4.host, ipv4.allowed, ipv6.host, ipv6.allowed) == ("(any)", False, "(any)", False)
    assert (
        ipv4.reason == "UDP and ICMP have no way out; the guest's kernel does not tell where they were to go"
    )
    assert (ipv6.reason or "").startswith("IPv6 has no way out")


def test_an_address_that_no_name_has(box: World) -> None:
    box.allow("*")
    assert refusal(box, "198.19.255.1", 443).startswith("no name has this address (any more)")


def test_an_allowed_name_has_no_records_but_its_address(box: World) -> None:
    box.allow(GIT)
    for kind in (AAAA, HTTPS, 16):
        answer = box.ask(GIT, kind)
        assert (answer.code, answer.address) == (0, None)
    assert box.address(GIT) == box.address(GIT.upper())
    assert box.ask("missing.example.org").code == NO_SUCH_NAME


# live


def test_a_change_counts_for_new_connections_and_for_old_ones_where_that_is_asked(box: World) -> None:
    box.allow(f"{GIT}:22")
    address = box.address(GIT)
    with closing(box.listen(HOSTS[GIT], 22)) as listener, box.dial(address, 22) as program:
        server, _ = listener.accept()
        with server:
            box.wait_for(lambda: bool(box.egress.history.after(0)))  # else it is not yet an old one
            box.allow()
            assert refusal(box, address, 22) == "the name is not on the list"
            server.sendall(b"still here")
            assert program.recv(100) == b"still here"
            assert box.in_core(box.egress.end_unallowed) == 1
            with pytest.raises(ConnectionResetError):
                program.recv(100)
            with pytest.raises(ConnectionResetError):
                server.recv(100)
            box.wait_for(lambda: box.egress.history.after(0)[0].ended_at is not None)
    found = box.log()[0]
    assert (found.received, found.reason) == (10, "it is no longer allowed")


# much of it


def test_a_flood_is_bounded_and_others_go_on(box: World) -> None:
    box.allow(f"{GIT}:22")
    for number in range(2 * MOST):
        box.ask(f"n{number}.evil.test")
    assert len(box.log()) == MOST
    assert len(box.events) < 60
    with box.serving(HOSTS[GIT], 22):
        assert box.outcome(box.address(GIT), 22) == HOSTS[GIT]


def test_many_at_once_one_of_them_stalled(box: World) -> None:
    box.allow(f"{GIT}:22")
    address = box.address(GIT)
    with ExitStack() as held, closing(box.listen(HOSTS[GIT], 22)) as listener:
        stalled = held.enter_context(box.dial(address, 22))
        held.enter_context(listener.accept()[0])
        stalled.setblocking(False)
        fill(stalled)
        programs = [held.enter_context(box.dial(address, 22)) for _ in range(200)]
        servers = [held.enter_context(listener.accept()[0]) for _ in programs]
        for number, server in enumerate(servers):
            server.sendall(str(number).encode())
            server.shutdown(socket.SHUT_WR)
        assert sorted(int(program.recv(10)) for program in programs) == list(range(200))


def test_one_more_than_there_can_be_is_reset(box: World) -> None:
    box.allow(f"{HOSTS[GIT]}:22")
    with ExitStack() as held, closing(box.listen(HOSTS[GIT], 22)) as listener:
        for _ in range(MAX_DIALED):
            held.enter_context(box.dial(HOSTS[GIT], 22))
            held.enter_context(listener.accept()[0])
        assert box.outcome(HOSTS[GIT], 22) == "reset"
    box.wait_for(lambda: len(box.link.connections) == 0)


# a core that goes


def test_with_the_next_core_connections_are_ended_and_names_are_where_they_were(box: World) -> None:
    box.allow(f"{GIT}:22")
    address = box.address(GIT)
    with closing(box.listen(HOSTS[GIT], 22)) as listener, box.dial(address, 22) as program:
        server, _ = listener.accept()
        with server:
            box.link_anew()
            with pytest.raises(ConnectionResetError):
                program.recv(100)
            with pytest.raises(ConnectionResetError):
                server.recv(100)
    with box.serving(HOSTS[GIT], 22):
        assert box.outcome(address, 22) == HOSTS[GIT]


# an agent that is hostile


@pytest.mark.parametrize(
    "name",
    [
        "a\0b.example.org",
        "\ud800.example.org",
        "x" * 5000,
        "",
        "..",
        "a b",
        "\u202e.example.org",
        "2130706433",
        "0x7f.1",
        7,
        None,
        ["a"],
    ],
)
def test_a_name_that_no_host_can_have(box: World, name: object) -> None:
    box.allow("*", "*.example.org:22")
    assert not box.in_core(lambda: box.egress.told(box.link, {"type": "resolve", "seq": 1, "name": name}))
    assert (box.last.host, box.last.allowed) == ("(no name)", False)
    dial: dict[str, object] = {"type": "dial", "n": (1 << 32) - 1, "host": name, "port": 22}
    assert box.in_core(lambda: box.egress.told(box.link, dial))
    assert box.ended().reason == "no host can have the name that was asked for"
    assert box.in_core(lambda: len(box.link.connections)) == 0


@pytest.mark.parametrize("count", [0, -1, 1 << 60, "7", None, 2.5])
def test_strays_that_nobody_can_count(box: World, count: object) -> None:
    told: dict[str, object] = {"type": "strays", "ipv4": count, "ipv6": count}
    assert not box.in_core(lambda: box.egress.told(box.link, told))
    assert box.log() == []


@pytest.mark.parametrize("port", [-1, 65536, "22", None, 1.5])
def test_a_port_that_there_is_not(box: World, port: object) -> None:
    dial: dict[str, object] = {"type": "dial", "n": (1 << 32) - 1, "host": GIT, "port": port}
    assert not box.in_core(lambda: box.egress.told(box.link, dial))
    assert box.in_core(lambda: len(box.link.connections)) == 0


@pytest.mark.parametrize("number", [None, "1", 1.5])
def test_a_question_without_a_number(box: World, number: object) -> None:
    assert not box.in_core(lambda: box.egress.told(box.link, {"type": "resolve", "seq": number, "name": GIT}))
    assert box.log() == []


def test_a_name_of_which_the_hosts_resolver_makes_a_fault_of_ours(box: World) -> None:
    box.allow("*")
    box.names["odd.example.org"] = ["no address"]
    assert box.ask("odd.example.org").code == NO_SUCH_NAME
