"""Ports as people write them."""

from __future__ import annotations

import pytest

from sandtop.core.client.link import port_forward, where
from sandtop.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "address", "host_port", "guest_port"),
    [
        ("8080:80", "127.0.0.1", 8080, 80),
        ("80", "127.0.0.1", 0, 80),
        (":80", "127.0.0.1", 0, 80),
        ("0:80", "127.0.0.1", 0, 80),
        ("0.0.0.0:8080:80", "0.0.0.0", 8080, 80),
        ("*:8080:80", "0.0.0.0", 8080, 80),
        ("localhost:8080:80", "127.0.0.1", 8080, 80),
        ("[::1]:8080:80", "::1", 8080, 80),
        ("[::1]::80", "::1", 0, 80),
        ("10.0.0.5::80", "10.0.0.5", 0, 80),
        ("1:65535", "127.0.0.1", 1, 65535),
    ],
)
def test_a_port_to_forward(text: str, address: str, host_port: int, guest_port: int) -> None:
    found = port_forward(text)
    assert (found.address, found.host_port, found.guest_port) == (address, host_port, guest_port)


@pytest.mark.parametrize(
    "text",
    ["", "8080:", "x:80", "8080:0", "80:65536", "-1:80", "8080:80/tcp", "::1:8080:80", "8080: 80", "٣:80"],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no port to forward") as caught:
        port_forward(text)
    assert "8080:80" in (caught.value.hint or "")


def test_where_one_listens() -> None:
    assert where(port_forward("8080:80")) == "127.0.0.1:8080"
    assert where(port_forward("[::1]:8080:80")) == "[::1]:8080"
