"""Over and over again: nothing leaks. And the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from sandtop.agent.wire.limits import MAX_SESSIONS

from .conftest import hosted_agent

if TYPE_CHECKING:
    from .conftest import HostedAgent
    from .core_side import CoreSide

ENDS = (
    "exit 3",
    "setsid sleep 1000 & exit 0",
    "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; kill -9 $$",
    "for n in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo x",
    "yes & sleep 0.01",
)


def memory(agent: HostedAgent) -> int:
    """KiB that are the agent's own."""
    lines = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@pytest.mark.slow
def test_sessions_leave_nothing_behind(core: CoreSide, agent: HostedAgent) -> None:
    """The fixture looks for cgroups and descriptors; processes and memory are looked at here."""

    def round_of_ten(first: int) -> None:
        runs = [
            core.start(
                "/bin/sh", "-c", ENDS[n % len(ENDS)],
                tty={"rows": 2, "columns": 3} if n % 3 == 0 else None,
                stdin=n % 2 == 0,
                timeout_ms=100_000,
            )
            for n in range(first, first + 10)
        ]  # fmt: skip
        for run in runs:
            core.finish(run)
        for run in runs:
            core.end_left(run)
        core.ping()

    def least(rounds: int) -> int:
        """KiB after as many rounds of ten, the least of the last five: a heap goes up and down between them."""
        found: list[int] = []
        for number in range(rounds):
            round_of_ten(10 * number)
            found.append(memory(agent))
        return min(found[-5:])

    before, after, later = least(20), least(15), least(15)
    assert agent.processes == []
    # the last 1024 ids are remembered, some hundred KiB until there are that many; a heap may grow once, and 6 KiB a
    # session on and on would be a leak
    assert min(after - before, later - after) < 800


@pytest.mark.slow
def test_idle_costs_nothing(core: CoreSide, agent: HostedAgent) -> None:
    quiet = core.start("sleep", "100", stdin=True)
    terminal = core.start("sleep", "100", tty={"rows": 2, "columns": 3})
    core.wait(lambda: terminal.pid is not None)
    before = agent.busy()
    core.serve(1.5)
    assert agent.busy() - before <= 0.02
    for run in (quiet, terminal):
        core.operate("signal", id=run.id, signal=9, scope="all")
        core.finish(run)


def test_there_is_a_limit_to_sessions() -> None:
    with hosted_agent() as (_agent, core):
        core.link()
        core.configure()
        runs = [core.start("/no/such") for _ in range(MAX_SESSIONS)]
        core.wait(lambda: all(run.ended for run in runs), 50)
        one_more = core.start("true")
        core.wait(lambda: one_more.refused is not None)
        hello = core.link()
        assert len(cast("list[object]", hello["sessions"])) == MAX_SESSIONS, "all of them in one frame"
        core.release(runs[0])
        core.finish(core.start("true"))


def test_shutdown_asks_then_kills_then_turns_off() -> None:
    with hosted_agent() as (agent, core):
        core.link()
        core.configure()
        polite = core.start(
            "/bin/sh", "-c", "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.01; done"
        )
        deaf = core.start("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.01; done")
        core.wait(lambda: polite.stdout == deaf.stdout == b"up\n")
        begun = time.monotonic()
        assert core.operate("shutdown", grace_ms=400) is None
        late = core.start("true")
        core.wait(lambda: late.refused is not None)
        core.finish(polite)
        assert (polite.stdout, polite.record and polite.record["code"]) == (b"up\nbye\n", 9)
        assert "shutting down" in str(late.refused)
        core.finish(deaf)
        assert time.monotonic() - begun >= 0.4
        assert deaf.record is not None
        assert deaf.record["signal"] == 9
        core.until_gone()
        agent.says("off")


def test_an_agent_that_fails_says_so_in_one_line() -> None:
    with hosted_agent() as (agent, core):
        core.link()
        core.configure()
        (agent.cgroup / "cgroup.procs").write_text(str(agent.pid))
        (agent.cgroup / "agent").rmdir()  # to which it must go back after a start
        core.start("true")
        core.flush()
        agent.says("leave\n")
        first, *where = [line for line in agent.log.splitlines() if line.startswith("sandtop-agent: ")]
        assert first == "sandtop-agent: fatal: OSError: [Errno 19] No such device"
        assert 1 < len(where) <= 8
        assert "cgroups.py" in where[-1]
