"""What a leader left running when it ended by itself: it goes on, and is known until the last of it has ended."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from sandtop.agent.left import LOOK
from sandtop.agent.wire.limits import MAX_SESSIONS

from .conftest import hosted_agent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import HostedAgent
    from .core_side import CoreSide, Run

SIZE = {"rows": 24, "columns": 80}


def alive(core: CoreSide, path: Path) -> bool:
    """Whether the process that wrote its id to ``path`` lives."""
    record = core.shell(f"kill -0 $(cat {path})").record
    return record is not None and record["code"] == 0


def eventually(core: CoreSide, what: Callable[[], bool]) -> None:
    """Serve the link until ``what()``, which the agent does not tell."""
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        core.serve(0.02)


DAEMONS = {
    "a job": "sleep 1000 & echo $! >{0}",
    "a job that holds nothing": "sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >{0}",
    "nohup": "nohup sh -c 'echo $$ >{0}; exec sleep 1000' >/dev/null 2>&1 & while [ ! -s {0} ]; do sleep 0.01; done",
    "setsid": "setsid sh -c 'echo $$ >{0}; exec sleep 1000' & while [ ! -s {0} ]; do sleep 0.01; done",
    "a double fork": "(sh -c 'echo $$ >{0}; exec sleep 1000' &) ; while [ ! -s {0} ]; do sleep 0.01; done",
}


@pytest.mark.parametrize("kind", DAEMONS)
def test_a_daemon_goes_on_and_the_session_ends(
    core: CoreSide, agent: HostedAgent, tmp_path: Path, kind: str
) -> None:
    begun = tmp_path / "pid"
    run = core.shell(f"{DAEMONS[kind].format(begun)}; echo done; exit 3", timeout_ms=60_000)
    assert run.stdout == b"done\n"
    assert run.record is not None
    assert (run.record["reason"], run.record["code"], run.left) == ("exited", 3, 1)
    assert alive(core, begun)
    error = core.operate("signal", id=run.id, signal=signal.SIGTERM, scope="group")
    assert error is not None, "it is not the session that runs"
    assert core.operate("signal", id=run.id, signal=signal.SIGTERM, scope="all") is None
    core.wait(lambda: run.left == 0)
    assert agent.processes == []
    gone = core.operate("signal", id=run.id, signal=signal.SIGTERM, scope="all")
    assert gone is not None
    assert gone["code"] == "no-such-session"


def test_a_timeout_binds_the_leader_and_not_what_it_left(core: CoreSide) -> None:
    run = core.shell("sleep 1000 & exit 0", timeout_ms=300)
    core.serve(0.5)
    assert run.left == 1
    core.end_left(run)


@pytest.mark.parametrize("scope", ["leader", "group", "all"])
def test_who_kills_a_session_kills_all_of_it(core: CoreSide, agent: HostedAgent, scope: str) -> None:
    run = core.start("/bin/sh", "-c", "setsid sh -c 'echo away; exec sleep 1000' & wait")
    core.wait(lambda: run.stdout == b"away\n")
    assert core.operate("signal", id=run.id, signal=signal.SIGKILL, scope=scope) is None
    core.finish(run)
    assert run.record is not None
    assert (run.record["signal"], run.left) == (9, 0)
    assert agent.processes == []


def test_a_kill_that_was_not_its_end_is_forgotten(core: CoreSide) -> None:
    """The foreground job of a terminal is killed; its shell goes on, and ends by itself."""
    script = "set -m; sh -c 'echo up; exec sleep 1000'; nohup sleep 1000 >/dev/null 2>&1 & exit 4"
    run = core.start("/bin/sh", "-c", script, tty=SIZE)
    core.wait(lambda: b"up" in run.stdout)
    assert core.operate("signal", id=run.id, signal=signal.SIGKILL, scope="group") is None
    core.finish(run)
    assert run.record is not None
    assert (run.record["code"], run.left) == (4, 1)
    core.end_left(run)


def test_what_writes_on_is_neither_ended_nor_held_up(
    core: CoreSide, agent: HostedAgent, tmp_path: Path
) -> None:
    """More than the pipe holds; who writes to a pipe without a reader gets SIGPIPE."""
    wrote, go = tmp_path / "wrote", tmp_path / "go"
    writer = f"while [ ! -e {go} ]; do sleep 0.01; done; head -c 300000 /dev/zero; echo $? >{wrote}; exec sleep 1000"
    run = core.shell(f"sh -c '{writer}' & echo first; exit 0")
    assert run.stdout == b"first\n"
    go.touch()
    eventually(core, lambda: wrote.exists() and wrote.read_text() == "0\n")
    assert len(run.stdout) == len(b"first\n"), "after its end nothing is the session's"
    core.end_left(run)


@pytest.mark.slow
def test_a_flood_that_goes_on_costs_the_agent_little(core: CoreSide, agent: HostedAgent) -> None:
    run = core.shell("yes & exit 0")
    before = agent.busy()
    core.serve(1.5)
    assert agent.busy() - before <= 0.15
    core.end_left(run)


def test_it_waits_for_credit_and_not_for_what_was_left(core: CoreSide) -> None:
    """More than the window and the pipe's own capacity would hold at once, from the leader; then from what it left."""
    run = core.start("/bin/sh", "-c", "head -c 1200000 /dev/zero; yes & exit 0", frozen=True)
    core.serve(0.5)
    assert run.record is None
    core.thaw(run)
    core.finish(run)
    assert run.stdout.count(0) == 1_200_000
    core.end_left(run)


@pytest.mark.slow
def test_a_later_core_is_told_and_so_is_a_count_that_changes(core: CoreSide, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run = core.shell(
        f"for n in 1 2 3; do sh -c 'while [ ! -e {go} ]; do sleep 0.01; done' & done; sleep 1000 & exit 0"
    )
    hello = core.link()
    left = hello["left"]
    assert isinstance(left, dict)
    assert left[run.id] >= 4, "and what each of the three waits with"
    go.touch()
    core.wait(lambda: run.left == 1, 3 * LOOK)
    core.end_left(run)
    assert core.link()["left"] == {}


@pytest.mark.slow
def test_a_shells_terminal_hangs_up(core: CoreSide, agent: HostedAgent, tmp_path: Path) -> None:
    """As under ssh: SIGHUP for what is in the foreground's group, an end of file for who reads; nohup lives on."""
    pid, reads, read = tmp_path / "pid", tmp_path / "reads", tmp_path / "read"
    script = (
        "sleep 1001 & nohup sh -c 'echo $$ >{0}; exec sleep 1002' >/dev/null 2>&1 &"
        " (trap '' HUP; (echo begins >{1}; exec cat >/dev/null) </dev/tty; echo end >{2}) &"
        " until [ -s {0} -a -s {1} ]; do sleep 0.01; done; exit 5"
    )
    run = core.run("/bin/sh", "-c", script.format(pid, reads, read), tty=SIZE)
    assert run.record is not None
    assert run.record["code"] == 5
    eventually(core, read.exists)
    core.wait(lambda: run.left == 1, 3 * LOOK)
    assert alive(core, pid)
    core.end_left(run)
    assert agent.processes == []


@pytest.mark.slow
def test_what_was_left_counts_as_sessions() -> None:
    with hosted_agent() as (_agent, core):
        core.link()
        core.configure()
        runs: list[Run] = []
        while len(runs) < MAX_SESSIONS:
            some = [core.start("/bin/sh", "-c", "sleep 1000 & exit 0") for _ in range(32)]
            for run in some:
                core.finish(run, 60)
            runs += some
        refused = core.start("true")
        core.wait(lambda: refused.refused is not None)
        assert f"of which {MAX_SESSIONS} ended and left processes running" in str(refused.refused)
        core.end_left(runs[0])
        one = core.start("tty", tty=SIZE, rlimits={"core": [0, 0]})
        core.finish(one)
        assert one.stdout.startswith(b"/dev/pts/"), "also with so many descriptors in use"
