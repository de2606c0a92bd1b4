"""What the agent makes of questions to its resolver, and the addresses that it gives to names."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.egress import dns
from sandtop.agent.egress.names import COUNT, Names
from sandtop.agent.egress.strays import counted
from sandtop.agent.machine import egress_of, resolver_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEADER = struct.Struct("!HHHHHH")


def question(
    *labels: bytes, kind: int = dns.A, flags: int = 0x0100, questions: int = 1, of_class: int = 1
) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return HEADER.pack(7, flags, questions, 0, 0, 0) + name + struct.pack("!HH", kind, of_class)


def test_a_question_and_its_answer() -> None:
    asked = dns.Question(question(b"Git", b"example", b"ORG"))
    assert (asked.name, asked.kind, asked.error) == ("git.example.org", dns.A, dns.OK)
    answer = asked.answer(dns.OK, socket.inet_aton("198.18.0.1"), 60)
    assert HEADER.unpack_from(answer) == (7, 0x8180, 1, 1, 0, 0)
    assert answer[HEADER.size :] == (
        question(b"Git", b"example", b"ORG")[HEADER.size :]  # with the letters as they were asked
        + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x12\0\x01"
    )
    assert HEADER.unpack_from(asked.answer(dns.NO_SUCH_NAME)) == (7, 0x8183, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (question(b"a", flags=0x2800), dns.NOT_IMPLEMENTED),
        (question(b"a", questions=0), dns.FORMAT_ERROR),
        (question(b"a", questions=2), dns.FORMAT_ERROR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\x01\0\x01", dns.FORMAT_ERROR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\x3f" + b"a" * 10, dns.FORMAT_ERROR),
        (HEADER.pack(7, 0, 1, 0, 0, 0) + b"\x01a\0\0\x01\0", dns.FORMAT_ERROR),
        (HEADER.pack(7, 0, 1, 0, 0, 0), dns.FORMAT_ERROR),
        (question(*[b"a" * 60] * 5), dns.FORMAT_ERROR),
    ],
)
def test_what_is_no_question_that_can_be_answered(packet: bytes, error: int) -> None:
    asked = dns.Question(packet)
    assert asked.error == error
    assert asked.answer(asked.error)[3] & 15 == error


@pytest.mark.parametrize(
    "labels", [[], [b"a b"], [b"evil.test"], [b"a\0b"], ["ü".encode()], [b"a", b"\xff"]], ids=str
)
def test_a_name_that_no_host_can_have(labels: Sequence[bytes]) -> None:
    assert dns.Question(question(*labels)).name is None
    assert dns.Question(question(b"a", of_class=3)).name is None


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: HEADER.pack(1, 0, 1, 0, 0, 0) + rest))
def test_any_packet_is_a_question_or_none(packet: bytes) -> None:
    try:
        asked = dns.Question(packet)
    except ValueError:
        return
    assert len(asked.answer(dns.NO_SUCH_NAME)) <= len(packet)
    assert asked.name is None or asked.name.encode() == asked.name.lower().encode("ascii")


def test_names_keep_their_addresses_and_the_least_used_is_forgotten() -> None:
    names = Names(most=3)
    first = [names.address(name) for name in ("a", "b", "c")]
    assert first == ["198.18.0.1", "198.18.0.2", "198.18.0.3"]
    assert names.name(first[0]) == "a"  # it was used
    assert names.address("d") == "198.18.0.4"
    assert names.name(first[1]) is None
    assert names.address("a") == first[0]
    assert names.address("b") == "198.18.0.5"  # nobody gets the address that was its own, for long


def test_addresses_go_round_and_none_is_given_twice() -> None:
    names = Names(most=10)
    seen = {names.address(str(number)) for number in range(COUNT)}
    assert len(seen) == COUNT - 2
    held = {names.address(str(number)) for number in range(COUNT - 10, COUNT)}
    assert len(held) == 10


def test_the_kernels_argument() -> None:
    line = b"quiet sandtop.egress=10.0.2.15,10.0.2.3 panic=-1\n"
    assert egress_of(line) == ("10.0.2.15", "10.0.2.3")
    assert egress_of(b"quiet") is None
    assert resolver_of(line) == "nameserver 10.0.2.3\n"


def test_what_the_kernel_counts(tmp_path: Path) -> None:
    before = counted()
    assert all(each >= 0 for each in before)
    (tmp_path / "snmp").write_text("Ip: Forwarding OutNoRoutes X\nIp: 2 17 5\nIcmp: InMsgs\nIcmp: 3\n")
    (tmp_path / "snmp6").write_text("Ip6InReceives 4\nIp6OutNoRoutes                  \t23\n")
    assert counted(str(tmp_path)) == (17, 23)
    (tmp_path / "snmp").write_text("Ip: Forwarding\n")
    (tmp_path / "snmp6").write_text("")
    assert counted(str(tmp_path)) == (0, 0)
