"""Secrets: the real agent in a network namespace, real TLS on both sides, hosts that answer, echo, redirect and lie."""

from __future__ import annotations

import ssl
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from sandtop.core.egress import secrets as rules
from sandtop.core.egress import terminated as subject
from sandtop.core.egress.authority import Authority
from sandtop.core.egress.masking import Masker
from sandtop.core.store import SecretRow

from .tls_host import VALUE, Host, answered, answering_tls, echo
from .world import HOSTS, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .world import World

GIT, WWW, OTHER = HOSTS
PLACEHOLDER = "sandtop-00112233445566778899aabbccddeeff"
AUTHORIZATION = f"Authorization: Bearer {PLACEHOLDER}"


def redirect(_head: bytes) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: https://{WWW}/\r\nContent-Length: 0\r\n\r\n".encode()


def in_chunks(_head: bytes) -> bytes:
    """The value in single bytes, and one that only begins as it does."""
    body = f"a {VALUE} b {VALUE[:9]}"
    chunks = "".join(f"1\r\n{each}\r\n" for each in body)
    return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n".encode()


def switching(_head: bytes) -> bytes:
    return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Of whom the hosts have their certificates."""
    return Authority(tmp_path_factory.mktemp("internet"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, internet: Authority) -> Iterator[World]:
    with world() as made:
        made.folder = tmp_path_factory.mktemp("sandbox")
        made.trusted = lambda: ssl.create_default_context(cadata=internet.certificate)
        yield made


@pytest.fixture
def box(shared: World) -> World:
    """A guest with one secret for `GIT`, which may reach all the others, too."""
    shared.begin_anew()
    shared.allow(*HOSTS)

    def keep() -> None:
        shared.secrets = (SecretRow("API", GIT, 443, PLACEHOLDER),)
        shared.egress.keys.vault.give({"API": VALUE.encode()})

    shared.in_core(keep)
    return shared


def serving(
    box: World, internet: Authority, host: str, answer: Callable[[bytes], bytes], *, as_: str = ""
) -> AbstractContextManager[Host]:
    """While in this context ``host`` answers, with a certificate for ``as_`` or itself."""
    return answering_tls(box.listen(HOSTS[host], 443), internet.context(as_ or host), answer)


def program(box: World, host: str, *, sni: str = "", trusting: str | None = None) -> ssl.SSLSocket:
    """A program of the guest that trusts what its files have, or ``trusting``."""
    certificate = trusting or box.in_core(box.egress.keys.certificate)
    context = ssl.create_default_context(cadata=certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = box.dial(box.address(host), 443)
    try:
        return context.wrap_socket(plain, server_hostname=sni or host)
    except BaseException:
        plain.close()
        raise


def request(*lines: str, host: str = GIT, target: str = "/", method: str = "GET", body: str = "") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", body]).encode()


def received(sock: ssl.SSLSocket, until: bytes = b"") -> bytes:
    """All that comes, or until that does."""
    got = b""
    with suppress(ConnectionResetError, ssl.SSLError):
        while (not until or until not in got) and (piece := sock.recv(65536)):
            got += piece
    return got


def asked(box: World, said: bytes, host: str = GIT) -> bytes:
    """What comes back to a program that says it is at its end."""
    with program(box, host) as sock:
        sock.sendall(said)
        return received(sock)


CLOSE = "Connection: close"


def test_the_host_gets_the_value_and_the_program_asterisks(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, echo) as host, program(box, GIT) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        sock.sendall(request(AUTHORIZATION, "Accept-Encoding: gzip", CLOSE))
        got = received(sock)
    (head,) = host.heads
    assert f"authorization: bearer {VALUE}".encode().lower() in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert b"gzip" not in head
    assert PLACEHOLDER.encode() not in head
    assert VALUE.encode() not in got
    assert got.count(b"*" * len(VALUE)) == 2  # in its body, and in a header
    length = int(got.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(got.partition(b"\r\n\r\n")[2]) == length
    found = box.ended()
    assert (found.host, found.secrets, found.reason, found.address) == (GIT, ["API"], None, HOSTS[GIT])
    assert found.sent > 0 < found.received
    assert VALUE not in repr(box.log()) + repr(box.events)
    assert ", with API" in box.events[-1][1]


def test_every_request_of_a_connection_one_after_the_other_or_at_once(
    box: World, internet: Authority
) -> None:
    with serving(box, internet, GIT, lambda _head: answered(b"done")) as host, program(box, GIT) as sock:
        for _ in range(2):
            sock.sendall(request(AUTHORIZATION))
            assert received(sock, b"done").endswith(b"done")
        sock.sendall(request(AUTHORIZATION) * 3 + request("X-Key: none", CLOSE))
        assert received(sock).count(b"done") == 4
    assert [VALUE.encode() in head for head in host.heads] == [True] * 5 + [False]


def test_a_placeholder_in_pieces_and_in_credentials(box: World, internet: Authority) -> None:
    basic = b64encode(f"user:{PLACEHOLDER}".encode()).decode()
    with serving(box, internet, GIT, echo) as host:
        with program(box, GIT) as sock:
            for byte in request(f"X-Keys: {PLACEHOLDER},{PLACEHOLDER}", CLOSE):
                sock.sendall(bytes([byte]))
            received(sock)
        got = asked(box, request(f"Authorization: basic {basic}", CLOSE))
    assert f"{VALUE},{VALUE}".encode() in host.heads[0]
    sent = b64encode(f"user:{VALUE}".encode())
    assert b"Basic " + sent in host.heads[1]
    assert sent not in got


def test_a_body_and_a_target_have_the_placeholder(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, lambda _head: answered(b"done")) as host:
        said = request(
            f"Content-Length: {len(PLACEHOLDER)}",
            target=f"/?key={PLACEHOLDER}",
            method="POST",
            body=PLACEHOLDER,
        )
        chunked = request(
            "Transfer-Encoding: chunked", CLOSE, method="PUT", body="3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n"
        )
        assert asked(box, said + chunked).count(b"done") == 2
    assert f"/?key={PLACEHOLDER}".encode() in host.heads[0]
    assert host.bodies == [PLACEHOLDER.encode(), b"3\r\nabc\r\n0\r\n\r\n"]
    assert box.ended().secrets == []


def test_an_answer_in_chunks_is_masked_and_nothing_more_of_it(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, in_chunks):
        got = asked(box, request(AUTHORIZATION, CLOSE))
    body = got.partition(b"\r\n\r\n")[2]
    text = b"".join(body.split(b"\r\n")[1::2])
    assert text == f"a {'*' * len(VALUE)} b {VALUE[:9]}".encode()


def test_no_other_host_gets_the_value_also_after_a_redirect(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, redirect) as first, serving(box, internet, WWW, echo) as second:
        got = asked(box, request(AUTHORIZATION, CLOSE))
        assert f"https://{WWW}/".encode() in got
        with program(box, WWW, trusting=internet.certificate) as sock:  # whose own certificate it sees
            sock.sendall(request(AUTHORIZATION, CLOSE, host=WWW))
            received(sock, b"}")
    assert VALUE.encode() in first.heads[0]
    assert PLACEHOLDER.encode() in second.heads[0]
    assert VALUE.encode() not in second.heads[0]


@pytest.mark.parametrize(
    ("said", "status", "why"),
    [
        (request(AUTHORIZATION, host=WWW), 421, f"another host than in its TLS hello: {WWW}"),
        (request(AUTHORIZATION, f"Host: {WWW}"), 400, "sent no request of HTTP/1.1"),
        (request(AUTHORIZATION, host=f"{GIT}:8443"), 421, "another host than in its TLS hello"),
        (request(AUTHORIZATION, target=f"https://{WWW}/"), 400, "asked for something else than a path"),
        (request(AUTHORIZATION, target=f"{WWW}:443", method="CONNECT"), 400, "asked for something else than a path"),
        (
            request(AUTHORIZATION, "Content-Length: 4", "Transfer-Encoding: chunked", method="POST", body="0\r\n\r\n"),
            400,
            "whose length can be read in two ways",
        ),
        (request("Content-Length: 1", "Content-Length: 2", method="POST"), 400, "sent no request of HTTP/1.1"),
        (request("Transfer-Encoding: gzip, chunked", method="POST"), 501, "sent no request of HTTP/1.1"),
        (request(f"X-A : {PLACEHOLDER}"), 400, "sent no request of HTTP/1.1"),
        (request(f"X-A: a\rX-B: {PLACEHOLDER}"), 400, "sent no request of HTTP/1.1"),
        (request(f"X-A: a\0{PLACEHOLDER}"), 400, "sent no request of HTTP/1.1"),
        (b"GET / HTTP/1.0\r\n\r\n", 421, "another host than in its TLS hello: none"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421, "another host than in its TLS hello: none"),
        (request(f"X-A: {PLACEHOLDER * 17}"), 431, "used more than 16 secrets in one request"),
        (b"\x16\x03\x01\0\0\r\n\r\n", 400, "sent no request of HTTP/1.1"),
    ],
    ids=[
        "host", "two hosts", "port", "absolute", "connect", "two lengths", "lengths", "coding", "space", "cr", "nul",
        "no host", "http2", "many", "tls",
    ],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_or_is_for_another_is_refused(
    box: World, internet: Authority, said: bytes, status: int, why: str
) -> None:
    with serving(box, internet, GIT, echo) as host:
        got = asked(box, said)
    assert got.startswith(f"HTTP/1.1 {status} ".encode()), got
    assert host.heads == []
    reason = box.ended().reason or ""
    assert reason.startswith("the program ")
    assert why in reason
    assert VALUE not in reason


def test_a_header_that_is_too_long_is_refused(box: World, internet: Authority) -> None:
    with (
        serving(box, internet, GIT, echo) as host,
        suppress(OSError),
    ):  # it may be ended before it has sent all
        asked(box, request(AUTHORIZATION, "X-A: " + "a" * 200_000, CLOSE))
    assert host.heads == []
    assert "sent no request of HTTP/1.1" in (box.ended().reason or "")


def test_a_bad_request_behind_a_good_one_is_refused_too(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, lambda _head: answered(b"done")) as host:
        got = asked(box, request(AUTHORIZATION) + request(AUTHORIZATION, host=WWW))
    assert got.count(b"done") == 1
    assert b"HTTP/1.1 421 " in got
    assert len(host.heads) == 1


def test_a_hello_that_names_another_host_or_none_or_no_tls_at_all(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, echo) as host:
        with pytest.raises(OSError, match=r"reset|EOF"):
            program(box, GIT, sni=WWW)
        assert box.ended().reason == f"the client asked this host for another, {WWW}"
        assert box.outcome(box.address(GIT), 443, request(AUTHORIZATION)) == "reset"
        assert box.ended().reason == "the client began no TLS"
    assert host.heads == []


def test_a_host_whose_certificate_is_not_to_be_trusted_gets_nothing(box: World, internet: Authority) -> None:
    with serving(box, internet, GIT, echo, as_=WWW) as host:
        with pytest.raises(OSError, match=r"reset|EOF"):
            program(box, GIT)
        assert "Hostname mismatch" in (box.ended().reason or "")
    assert host.heads == []


def test_a_program_that_does_not_trust_the_authority_is_told_in_the_log(
    box: World, internet: Authority
) -> None:
    with serving(box, internet, GIT, echo), pytest.raises(ssl.SSLCertVerificationError):
        program(box, GIT, trusting=internet.certificate)
    assert "does not take the certificate of the sandbox's own authority" in (box.ended().reason or "")


def test_after_an_upgrade_bytes_pass_as_they_are(box: World, internet: Authority) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", AUTHORIZATION)
    with serving(box, internet, GIT, switching) as host, program(box, GIT) as sock:
        sock.sendall(request(*upgrade))
        assert received(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        for said in (PLACEHOLDER.encode(), bytes(range(256))):
            sock.sendall(said)
            assert received(sock, said) == said
    assert VALUE.encode() in host.heads[0]


def test_a_program_that_sends_no_request_is_ended(
    box: World, internet: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "_IDLE_SECONDS", 0.3)
    with serving(box, internet, GIT, echo):
        assert asked(box, request()[:-3]).startswith(b"HTTP/1.1 408 ")
    assert box.ended().reason == "the program sent no request within 0.3 s"


def test_a_value_that_this_core_was_not_given(box: World, internet: Authority, tmp_path: Path) -> None:
    file = tmp_path / "token"

    def forget(path: str | None) -> None:
        box.secrets = (SecretRow("KEY", GIT, 443, PLACEHOLDER, path),)

    box.in_core(partial(forget, None))
    with serving(box, internet, GIT, echo) as host:
        with pytest.raises(OSError, match=r"reset|EOF"):
            program(box, GIT)
        assert "has to be given again" in (box.ended().reason or "")
        box.in_core(partial(forget, str(file)))
        with pytest.raises(OSError, match=r"reset|EOF"):
            program(box, GIT)
        assert "No such file" in (box.ended().reason or "")
        for value in ("first-value", "another-one"):  # it is read anew for each connection
            file.write_text(f"{value}\n")
            asked(box, request(AUTHORIZATION, CLOSE))
            assert f"Bearer {value}".encode() in host.heads[-1]


def test_the_authority_is_kept_for_this_user_alone(tmp_path: Path) -> None:
    first, second = Authority(tmp_path), Authority(tmp_path)
    assert first.certificate == second.certificate
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in first.certificate


def test_a_masker_passes_on_whatever_cannot_be_the_beginning() -> None:
    masker = Masker([b"aab-secret", b"secret-too"])
    assert [masker.feed(bytes([each])) for each in b"xaaab-secret"][-1] == b"*" * 10
    assert masker.feed(b"data: 1\n\n") == b"data: 1\n\n"  # of a stream of events nothing waits
    assert (masker.feed(b"aab-secr"), masker.rest()) == (b"", b"aab-secr")


@pytest.mark.parametrize(
    "value", ["", "short", "two\nlines-of-it", " spaced-out", "ümlauts-in-it", "x" * 4097]
)
def test_values_that_cannot_be_sent(value: str) -> None:
    with pytest.raises(ValueError, match="value") as raised:
        rules._good(value.encode())  # pyright: ignore[reportPrivateUsage]
    assert not value or value not in str(raised.value)
