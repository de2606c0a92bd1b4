"""Whom a client says it means: hellos of TLS and requests of HTTP, whole, in parts, broken, and made to deceive."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.egress.saying import MOST_BYTES, Unsaid, said

from .world import client_hello

NAME = "git.example.org"


HELLO = client_hello(NAME)
REQUEST = b"GET /a?b HTTP/1.1\r\nUser-Agent: x\r\nhost:\t" + NAME.encode() + b":80 \r\n\r\nbody"


def record(body: bytes) -> bytes:
    return b"\x16\x03\x01" + len(body).to_bytes(2) + body


def made_hello(extensions: bytes) -> bytes:
    """A hello with these extensions."""
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + b"\0\x02\x13\x01"
        + b"\x01\0"
        + len(extensions).to_bytes(2)
        + extensions
    )
    return record(b"\x01" + len(body).to_bytes(3) + body)


def server_name(*names: bytes) -> bytes:
    """The extension that names the server."""
    listed = b"".join(b"\0" + len(name).to_bytes(2) + name for name in names)
    content = len(listed).to_bytes(2) + listed
    return b"\0\0" + len(content).to_bytes(2) + content


@pytest.mark.parametrize(
    ("port", "data"), [(443, HELLO), (80, HELLO), (80, REQUEST)], ids=["tls", "tls on 80", "http"]
)
def test_the_name_is_found_once_all_is_there_and_not_before(port: int, data: bytes) -> None:
    needed = len(data) - (4 if data is REQUEST else 0)
    for length in (*range(1, 12), needed // 2, needed - 1):
        assert said(port, data[:length]) is None
    assert said(port, data) == NAME


def test_a_hello_in_several_records() -> None:
    body = HELLO[5:]
    cut = b"".join(record(body[at : at + 100]) for at in range(0, len(body), 100))
    assert said(443, cut) == NAME
    with pytest.raises(Unsaid, match="more than 64 records"):
        said(443, b"".join(record(body[at : at + 1]) for at in range(len(body))))


@pytest.mark.parametrize(
    ("extensions", "why"),
    [
        (b"", "no SNI"),
        (server_name(), "no SNI"),
        (server_name(b"a.test", b"b.test"), "more than one host"),
        (server_name(b"a.test") + server_name(b"b.test"), "more than one host"),
        (server_name(b""), "no host can have"),
        (server_name(b"a.test\0.evil.test"), "no host can have"),
        (server_name(b"a b"), "no host can have"),
        (server_name(b"a" * 300), "no host can have"),
        (b"\0\0\xff\xff", "broken"),
        (b"\0", "broken"),
        (b"\0\0\0\x05\0\x09\0\0\x01", "broken"),
    ],
)
def test_hellos_that_name_none_or_deceive(extensions: bytes, why: str) -> None:
    with pytest.raises(Unsaid, match=why):
        said(443, made_hello(extensions))


def test_a_name_is_compared_in_lower_case_and_without_its_last_dot() -> None:
    assert said(443, made_hello(server_name(b"GIT.example.ORG."))) == NAME


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\nHost: b.test\r\nHost: a.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET http://a.test@b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"CONNECT b.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET b.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n\r\n",
        b"SSH-2.0-x\r\n",
    ],
)
def test_requests_that_name_none_or_deceive(data: bytes) -> None:
    with pytest.raises(Unsaid):
        said(80, data)


@pytest.mark.parametrize("target", [b"/", b"*", b"http://a.test", b"HTTP://A.TEST:80/x?y"])
def test_requests_that_name_the_host(target: bytes) -> None:
    assert said(80, b"GET " + target + b" HTTP/1.1\r\nHost: a.test\r\n\r\n") == "a.test"


def _any_first_bytes() -> st.SearchStrategy[bytes]:
    broken = st.tuples(st.sampled_from([HELLO, REQUEST]), st.integers(0, 600), st.binary(max_size=8)).map(
        lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + len(each[2]) :]
    )
    return st.binary(max_size=200) | broken | st.binary(max_size=200).map(made_hello)


@given(_any_first_bytes(), st.sampled_from([80, 443]))
def test_any_bytes_name_a_host_or_none(data: bytes, port: int) -> None:
    try:
        name = said(port, data)
    except Unsaid:
        return
    assert name is None or (name == name.lower() and 0 < len(name) <= 255 and " " not in name)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\0\x01" * (MOST_BYTES // 6),
        record(b"\x01\0\xff\xff") * (MOST_BYTES // 9),
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * (MOST_BYTES // 4),
        b"GET / HTTP/1.1\r\n" + b"a: b" * (MOST_BYTES // 4) + b"\r\n\r\n",
        b"GET http://" + b"a" * (MOST_BYTES // 2) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r" * MOST_BYTES,
        b"A" * MOST_BYTES,
        made_hello(b"\x00\x05\0\0" * (MOST_BYTES // 5)),
    ],
    ids=range(8),
)
def test_no_bytes_take_long(data: bytes) -> None:
    begun = time.process_time()
    with suppress(Unsaid):
        said(80, data)
    assert time.process_time() - begun < 0.5  # some milliseconds, on a machine that does nothing else
