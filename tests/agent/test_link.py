"""The link: its beginning, its end, its beginning again; operations; what a hostile core can do."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, cast

import pytest

from sandtop.agent.wire import Control, Credit, Data, Eof, encode, marker

from .conftest import hosted_agent
from .core_side import CONFIGURE, TOKEN, CoreSide

if TYPE_CHECKING:
    from .conftest import HostedAgent


def sessions(hello: dict[str, object]) -> list[dict[str, object]]:
    return cast("list[dict[str, object]]", hello["sessions"])


def test_before_configure_nothing_starts() -> None:
    with hosted_agent() as (agent, core):
        hello = core.link()
        assert hello["version"] == 1
        assert hello["configured"] is False
        assert hello["sessions"] == []
        run = core.run("true")
        assert "not configured" in str(run.refused)
        error = core.operate("configure", **{**CONFIGURE, "entropy": "not base64!", "type": "configure"})
        assert error is not None
        assert error["code"] == "invalid"
        error = core.configure(hostname="unwilling")
        assert error is not None
        assert error["code"] == "os-error"
        assert core.link()["configured"] is False
        assert core.configure() is None
        assert core.link()["configured"] is True
        agent.says("identity testbox b'seed for the tests'")
        assert core.hellos[-1]["warnings"] == []
        full = "/etc/hosts could not be written: No space left on device"
        assert core.configure(hostname="full") is None, "and it is configured all the same"
        assert core.done["warnings"] == core.link()["warnings"] == [full]
        assert core.configure(hostname=None, machine_id=None, entropy=None) is None, "as for the clock alone"
        assert core.link()["warnings"] == [full]
        assert core.shell("echo $HOSTNAME").stdout == b"full\n", "it stays who it is"


def test_a_link_begins_again_in_the_middle_of_anything(core: CoreSide) -> None:
    cut = encode(Control({"type": "ping", "seq": "lost"}))
    for rubbish in (
        cut[:5],
        encode(Data(4, 0, b"x" * 100))[:50],
        os.urandom(500),
        marker(TOKEN, "77" * 16)[:40],
    ):
        core.send_raw(rubbish)
        core.link()
        assert core.ping() < 10


def test_a_marker_with_another_token_is_no_marker(core: CoreSide) -> None:
    intruder = CoreSide(core.sock, "bb" * 16)
    with pytest.raises(TimeoutError):
        intruder.link(0.5)
    core.link()


def test_output_goes_on_where_it_was(core: CoreSide) -> None:
    """Cut again and again, also in the middle of frames; the agent keeps what is not acknowledged."""
    run = core.start("seq", "1", "300000")
    expected = b"".join(b"%d\n" % n for n in range(1, 300_001))
    for reached in (1, 100_000, 500_000, 1_200_000):
        core.wait(lambda reached=reached: len(run.stdout) >= reached)  # type: ignore[misc]
        core.lose(1000)
        core.link()
    core.finish(run)
    assert run.stdout == expected


def test_input_goes_on_where_it_was(core: CoreSide) -> None:
    data = os.urandom(3_000_000)
    run = core.start("cat", stdin=True)
    core.write(run, data)
    core.close(run)
    for reached in (1, 700_000, 2_000_000):
        core.wait(lambda reached=reached: run.stdin.acked >= reached)  # type: ignore[misc]
        core.send_raw(encode(Data(run.base, run.stdin.acked, b"half a frame"))[:15])
        core.link()
    core.finish(run)
    assert run.stdout == data


def test_an_exit_is_told_on_every_link_until_it_is_released(core: CoreSide) -> None:
    run = core.start("true")
    core.wait(lambda: run.ended)
    for times in (2, 3):
        hello = core.link()
        assert [entry["record"] for entry in sessions(hello)] == [run.record]
        core.wait(lambda times=times: core.exits.count(run.id) == times)  # type: ignore[misc]
    core.release(run)
    core.ping()
    assert core.link()["sessions"] == []


def test_a_start_that_is_repeated_starts_nothing(core: CoreSide, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "f")
    run = core.start("/bin/sh", "-c", f"echo x >>{path}; cat", stdin=True)
    again = {"type": "start", "id": run.id, "n": run.number, "argv": ["/bin/sh", "-c", f"echo y >>{path}"]}
    core.send(again)
    core.wait(lambda: run.pid is not None)
    pid = run.pid
    entry = sessions(core.link())[0]
    assert (entry["id"], entry["n"], entry["pid"], entry["record"]) == (run.id, run.number, pid, None)
    core.send(again)
    core.close(run)
    core.wait(lambda: run.ended)
    core.send(again)
    core.wait(lambda: core.exits.count(run.id) == 2)
    core.release(run)
    core.send(again)
    core.wait(lambda: run.refused is not None)
    with open(path) as file:
        assert file.read() == "x\n"


def test_two_sessions_cannot_have_one_number(core: CoreSide) -> None:
    first = core.start("sleep", "100")
    other = core.start("true")
    core.finish(other)
    core.send({"type": "start", "id": other.id + "x", "n": first.number, "argv": ["true"]})
    core.runs[other.id + "x"] = other
    core.wait(lambda: other.refused is not None)
    core.operate("signal", id=first.id, signal=9, scope="leader")
    core.finish(first)


def test_an_operation_that_is_repeated_is_done_once(core: CoreSide) -> None:
    script = "trap 'echo hit' USR1; echo up; while read -r line; do :; done"
    run = core.start("/bin/sh", "-c", script, stdin=True)
    core.wait(lambda: run.stdout == b"up\n")
    message: dict[str, object] = {
        "type": "signal",
        "op": "once",
        "id": run.id,
        "signal": 10,
        "scope": "leader",
    }
    for _ in range(3):
        core.answers.pop("once", None)
        core.send(message)
        core.wait(lambda: "once" in core.answers)
        assert core.answers["once"]["error"] is None
    core.wait(lambda: run.stdout == b"up\nhit\n")
    core.close(run)
    core.finish(run)
    assert run.stdout == b"up\nhit\n"


def test_operations_that_make_no_sense(core: CoreSide) -> None:
    run = core.start("sleep", "100")
    cases: list[tuple[str, dict[str, object], str]] = [
        ("signal", {"id": "nosuch", "signal": 9, "scope": "all"}, "no-such-session"),
        ("signal", {"id": run.id, "signal": 0, "scope": "all"}, "invalid"),
        ("signal", {"id": run.id, "signal": 9, "scope": "everywhere"}, "invalid"),
        ("signal", {"id": run.id, "signal": "9", "scope": "all"}, "invalid"),
        ("resize", {"id": run.id, "rows": 1, "columns": 1}, "not-a-tty"),
        ("resize", {"id": run.id, "rows": 0, "columns": 1}, "invalid"),
        ("resize", {"id": run.id, "rows": 1, "columns": 10_001}, "invalid"),
        ("resize", {"id": "nosuch", "rows": 1, "columns": 1}, "no-such-session"),
        ("shutdown", {"grace_ms": "now"}, "invalid"),
    ]
    for kind, fields, code in cases:
        error = core.operate(kind, **fields)
        assert error is not None
        assert error["code"] == code, (kind, fields)
    core.operate("signal", id=run.id, signal=9, scope="leader")
    core.wait(lambda: run.ended)
    error = core.operate("signal", id=run.id, signal=9, scope="leader")
    assert error is not None
    assert error["code"] == "ended"
    core.release(run)


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": []},
        {"argv": "true"},
        {"argv": [1]},
        {"argv": ["nul\0"]},
        {"argv": ["true"], "n": 0},
        {"argv": ["true"], "n": 1 << 40},
        {"bytes": 900_000, "n": 1 << 40},
        {"argv": ["true"], "n": True},
        {"argv": ["true"], "env": []},
        {"argv": ["true"], "env": {"A=B": "x"}},
        {"argv": ["true"], "env": {"A": 1}},
        {"argv": ["true"], "cwd": 7},
        {"argv": ["true"], "timeout_ms": 0},
        {"argv": ["true"], "timeout_ms": 1.5},
        {"argv": ["true"], "rlimits": {"cpu": 1}},
        {"argv": ["true"], "rlimits": {"cpu": [2, 1]}},
        {"argv": ["true"], "rlimits": {"cpu": [-1, 1]}},
        {"argv": ["true"], "rlimits": {"cpu": [1, 1 << 70]}},
        {"argv": ["true"], "tty": {"rows": 1}},
        {"argv": ["true"], "tty": {"rows": 24, "columns": 0}},
        {"argv": ["true"], "tty": {"rows": 10_001, "columns": 80}},
        {"argv": ["true"], "tty": True},
        {"argv": ["true"], "stdin": 1},
        {"argv": ["true"], "builtin": "tar"},
    ],
)
def test_a_start_that_makes_no_sense_is_refused(core: CoreSide, fields: dict[str, object]) -> None:
    run = core.start()
    core.wait(lambda: run.refused is not None)
    assert "argv" in str(run.refused)
    run.refused = None
    core.send({"type": "start", "id": run.id, "n": run.number, **fields})
    core.wait(lambda: run.refused is not None)


HOSTILE = [
    b"\0" * 9 + b"x",
    struct.pack("!IBI", 0xFFFFFFFF, 2, 4),
    encode(Control({"type": "start"})),
    encode(Control({"type": "start", "id": 7})),
    encode(Control({"type": "signal", "op": None})),
    encode(Control({"type": "signal", "op": "x" * 10_000})),
    encode(Control({"type": "hello", "version": "one"})),
    encode(Control({"type": "release", "id": {}})),
    json.dumps({"type": "x"}).encode(),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_protocol_ends_the_link_and_not_the_agent(
    core: CoreSide, agent: HostedAgent, hostile: bytes
) -> None:
    core.send_raw(hostile)
    agent.says("the link to the core was dropped")
    core.send_now(Control({"type": "ping", "seq": "unheard"}))
    core.link()
    assert core.ping() < 10
    assert "unheard" not in core.answers


def test_frames_for_nobody_are_passed_over(core: CoreSide) -> None:
    for frame in (
        Data(4_000_000, 0, b"x"),
        Eof(4_000_000, 7),
        Credit(4_000_001, 0, 100),
        Control({"type": "of a newer core"}),
        Control({"type": "release", "id": "nosuch"}),
    ):
        core.send_now(frame)
    assert core.ping() < 10


def test_more_input_than_was_allowed_ends_the_link(core: CoreSide, agent: HostedAgent) -> None:
    run = core.start("sleep", "100", stdin=True)
    core.wait(lambda: run.stdin.limit > 0)
    core.send_now(Data(run.base, 1 << 40, b"x"))
    agent.says("missing")
    core.link()
    assert core.operate("signal", id=run.id, signal=9, scope="leader") is None
    core.finish(run)


def test_a_core_that_acknowledges_what_was_never_sent_loses_its_link(
    core: CoreSide, agent: HostedAgent
) -> None:
    run = core.start("sleep", "100")
    core.wait(lambda: run.pid is not None)
    core.send_now(Credit(run.base + 1, 5, 10))
    agent.says("acknowledged 5 of 0")
    core.link()
    core.operate("signal", id=run.id, signal=9, scope="leader")
    core.finish(run)


def test_a_core_that_is_gone_costs_nothing_and_the_next_finds_all(core: CoreSide) -> None:
    """The port of a socket cannot be opened again: here the core only falls silent. See the tests on machines."""
    run = core.start("/bin/sh", "-c", "echo early; sleep 0.2; echo late", timeout_ms=20_000)
    core.wait(lambda: run.pid is not None)
    core.link()
    core.finish(run)
    assert run.stdout == b"early\nlate\n"
