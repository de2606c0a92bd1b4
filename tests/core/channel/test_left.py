"""What ended sessions left running, as the core knows it: a real agent with real processes, its core comes and goes."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio
from tests.agent.conftest import hosted_agent

from sandtop.agent.wire import ProtocolError
from sandtop.core.sessions import left, reports
from sandtop.core.sessions.retention import retire
from sandtop.core.settings import Settings

from .scripted import TOKEN, listening, running_core

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from tests.agent.conftest import HostedAgent

    from .scripted import Core


@asynccontextmanager
async def agent_in(folder: Path) -> AsyncGenerator[HostedAgent]:
    """A configured agent behind the machine's socket in ``folder``, which one core after the other may open."""
    with hosted_agent() as (agent, port):
        port.token = TOKEN
        port.link()
        assert port.configure() is None
        port.sock.setblocking(False)
        theirs = trio.SocketStream(trio.socket.from_stdlib_socket(port.sock))

        async def relay(ours: trio.SocketStream) -> None:
            async with trio.open_nursery() as nursery:

                async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
                    with suppress(trio.BrokenResourceError):  # a core that ends may reset its end
                        async for data in source:
                            await sink.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pump, theirs, ours)
                await pump(ours, theirs)

        async with listening(folder, relay):
            yield agent


async def until(what: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not what():  # noqa: ASYNC110 - of other processes
            await trio.sleep(0.01)


async def leave(core: Core, key: str, script: str) -> None:
    """Run a script that leaves something, to its end."""
    await core.link.wait_up(10)
    core.start(key, "/bin/sh", "-c", script)
    await core.ended(key)


def test_it_is_known_to_a_core_that_comes_back_and_ended_with_its_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with agent_in(tmp_path) as agent:
            async with running_core(tmp_path, boot_seconds=None) as core:
                await leave(core, "a" * 16, "sleep 1000 & sleep 1000 & echo x; exit 3")
                session = core.sessions.get("a" * 16)
                assert (session.left, session.row.state) == (2, "exited")
                assert session.record is not None
                assert (session.record.code, core.output("a" * 16)) == (3, b"x\n")
                await leave(core, "b" * 16, "sleep 1000 & exit 0")
            async with running_core(tmp_path, boot_seconds=None) as core:
                await core.link.wait_up(10)
                session = core.sessions.get("a" * 16)
                assert (session.left, session.record and session.record.code) == (2, 3)
                core.sessions.remove(session)
                await until(lambda: len(agent.processes) == 1)
                core.database.remove_session("b" * 16)  # of which the next core knows nothing
            async with running_core(tmp_path, boot_seconds=None) as core:
                await until(lambda: agent.processes == [])
                await leave(core, "c" * 16, "sleep 1000 & exit 0")
                core.sessions.machine_gone("gone")
                assert core.sessions.get("c" * 16).left == 0

    trio.run(main)


def test_what_left_something_is_kept_but_not_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left, "KEPT", 2)

    async def main() -> None:
        async with agent_in(tmp_path) as agent, running_core(tmp_path, boot_seconds=None) as core:
            for number in range(6):
                await leave(core, f"{number:016}", "sleep 1000 & exit 0" if number < 4 else "true")
            await retire(core.sessions, Settings(sessions_kept=1))
            assert [session.row.id[-1] for session in core.sessions.all()] == ["2", "3"], (
                "5 is beyond the one"
            )
            await until(lambda: len(agent.processes) == 2)

    trio.run(main)


@pytest.mark.parametrize("value", [-1, "3", 1.5, True, 1 << 40, [1]])
def test_a_count_that_makes_no_sense(value: object) -> None:
    with pytest.raises(ProtocolError, match="left"):
        left.processes(value)
    with pytest.raises(ProtocolError, match="left"):
        left.take_all({"a": value}, {})
    with pytest.raises(ProtocolError, match="left"):
        left.take_all(value, {})


def test_a_hello_speaks_of_no_more_sessions_than_an_agent_can_have() -> None:
    """Each that is not ours is answered: a long list of them would keep the core from everybody else."""
    with pytest.raises(ProtocolError, match="too many"):
        left.take_all({str(number): 1 for number in range(reports.MOST + 1)}, {})
    with pytest.raises(ProtocolError, match="of 1025 sessions"):
        reports.entries_of([dict[str, object]()] * (reports.MOST + 1))


def test_an_agent_that_lets_nothing_go_on_says_nothing_of_it() -> None:
    assert left.processes(None) == 0
    assert left.take_all(None, {}) == []
