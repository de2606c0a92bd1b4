"""The lines of an allow-list: which are understood, what each allows, and which addresses have to be meant."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.core.egress import Rules, parse
from sandtop.core.egress.addresses import parsed, what_is
from sandtop.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("git.example.org", "git.example.org"),
        (" Git.Example.ORG. ", "git.example.org"),
        ("bücher.example:8443", "xn--bcher-kva.example:8443"),
        ("*.example.com:443", "*.example.com:443"),
        ("*", "*"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.0/24:22", "192.0.2.0/24:22"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("[2001:db8::1]:22", "[2001:db8::1]:22"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("_srv.example.org", "_srv.example.org"),
        ("localhost:80", "localhost:80"),
    ],
)
def test_a_line_is_understood_and_written_in_one_way(text: str, written: str) -> None:
    assert str(parse(text)) == written
    assert parse(written) == parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it names no host"),
        (":80", "it names no host"),
        ("https://example.org", "not a URL"),
        ("me@example.org", "not a URL"),
        ("example.org:0", "'0' is no port"),
        ("example.org:65536", "'65536' is no port"),
        ("example.org:http", "'http' is no port"),
        ("a.*.example.org", "a \\* only before the first"),
        ("**.example.org", "a \\* only before the first"),
        ("-a.example.org", "letters, digits and hyphens"),
        ("exa mple.org", "letters, digits and hyphens"),
        ("192.0.2.1/24", "has host bits set"),
        ("192.0.2.256", "192.0.2.256"),
        ("0x7f000001", "no number at its end"),
        ("a.7:80", "no number at its end"),
        ("[2001:db8::1", "the bracket"),
        ("[2001:db8::1]22", "the bracket"),
        ("x" * 400, "names no host"),
        ("a." * 140 + "b", "letters"),
        ("a..b", "no name of a host"),
    ],
)
def test_what_is_no_line_says_why(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as error:
        parse(text)
    assert error.value.hint is not None
    assert "git.example.org" in error.value.hint


@given(st.text(max_size=60) | st.from_regex(r"[a-z0-9.*:/\[\]-]{1,30}", fullmatch=True))
def test_any_text_is_a_line_or_an_error(text: str) -> None:
    try:
        rule = parse(text)
    except InvalidRequest:
        return
    assert parse(str(rule)) == rule


def test_which_names_and_ports_are_allowed() -> None:
    rules = Rules.of(["git.example.org", "*.example.com:8443", "git.example.org:22"])
    assert rules.ports("git.example.org") == [22, 80, 443]
    assert rules.ports("a.b.example.com") == [8443]
    for name in ("example.com", "notexample.com", ".example.com", "git.example.org.evil.test", "example.org"):
        assert not rules.knows(name), name
    assert rules.allows_name("git.example.org", 443)
    assert not rules.allows_name("git.example.org", 8443)
    assert not rules.allows_address(ip_address("192.0.2.1"), 443)
    assert Rules.of(["*"]).ports("any.test") == [80, 443]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "10.0.2.2", "100.64.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.168.1.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "255.255.255.255", "::1", "::",
        "fe80::1", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "::ffff:10.0.0.1",
        "::127.0.0.1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_internet_has_to_be_meant(address: str) -> None:
    found = parsed(address)
    assert found is not None
    assert what_is(found) is not None
    for broad in (["0.0.0.0/0", "::/0"], ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"], ["*"]):
        assert not Rules.of(broad).allows_address(found, 80), broad
    line = f"[{found}]:80" if found.version == 6 else f"{found}:80"
    assert Rules.of([line]).allows_address(found, 80)
    assert not Rules.of([line]).allows_address(found, 81)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "203.0.113.10", "2001:4860:4860::8888", "172.32.0.1", "192.0.2.1"]
)
def test_an_address_of_the_internet_is_allowed_by_any_line_about_it(address: str) -> None:
    found = ip_address(address)
    assert what_is(found) is None
    assert Rules.of(["0.0.0.0/0", "::/0"]).allows_address(found, 80)


@pytest.mark.parametrize("text", ["", "git.example.org", "1.2.3", "127.1", "0x7f000001", "1.2.3.4.5", "::g"])
def test_what_is_no_address(text: str) -> None:
    assert parsed(text) is None
