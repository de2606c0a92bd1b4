"""Plain requests, on both clients: results, errors, a core that dies, one that is too old, one that is not ours."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio.to_thread
import pytest

import sandtop
from sandtop import AlreadyExists, CoreUnavailable, NotFound, Sandbox, WrongState
from sandtop.core.client.link import asynchronous, blocking, plain
from sandtop.core.contract import record
from sandtop.core.contract.sandbox import SandboxCreate, SandboxInspect, SandboxList, SandboxRemove

if TYPE_CHECKING:
    from tests.fakecore import Conn, FakeCore, Message

    from sandtop.core.contract.record import Record, Request

    from ..conftest import Core

    R = TypeVar("R", bound=Record)

    class Call(Protocol):
        async def __call__(self, request: Request[R]) -> R: ...


pytestmark = pytest.mark.anyio


@pytest.fixture(params=["blocking", "anyio"])
def call(request: pytest.FixtureRequest) -> Call:
    """Both clients as one."""

    async def in_thread(request: Request[R]) -> R:
        return await anyio.to_thread.run_sync(blocking.call, request)

    which: str = request.param
    return in_thread if which == "blocking" else asynchronous.call


async def test_a_result_comes_back(core: Core, call: Call) -> None:
    (demo,) = (await call(SandboxList())).sandboxes
    assert (demo.name, demo.state) == ("demo", "running")


async def test_an_error_is_raised_as_what_it_is(core: Core, call: Call) -> None:
    with pytest.raises(NotFound) as caught:
        await call(SandboxInspect(sandbox="nobody"))
    assert "nobody" in str(caught.value)
    with pytest.raises(WrongState):
        await call(SandboxRemove(sandbox="demo"))


async def test_a_core_killed_between_two_requests(core: Core, call: Call) -> None:
    for _ in range(3):
        await anyio.to_thread.run_sync(core.kill)
        assert (await call(SandboxInspect(sandbox="demo"))).sandbox


async def test_a_core_that_dies_before_it_answers_is_asked_again(fake: FakeCore, call: Call) -> None:
    def die_once(conn: Conn, request: Message) -> None:
        del fake.scripts["sandbox.create"]
        fake.answer(conn, request)
        conn.cut()

    fake.scripts["sandbox.create"] = die_once
    result = await call(SandboxCreate(name="new"))
    assert result.sandbox.name == "new"
    first, second = (request["request_id"] for request in fake.requests)
    assert first == second


async def test_an_older_core_is_replaced(fake: FakeCore, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []

    def old(conn: Conn, request: Message) -> None:
        conn.message("error", code="core-outdated", message="this core is older")

    def stop() -> bool:
        del fake.scripts["sandbox.list"]
        replaced.append("stopped")
        return True

    fake.scripts["sandbox.list"] = old
    monkeypatch.setattr(blocking, "stop_core", stop)
    assert (await call(SandboxList())).sandboxes
    assert replaced == ["stopped"]


async def test_a_core_that_stays_too_old_is_an_error(
    fake: FakeCore, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(conn: Conn, request: Message) -> None:
        conn.message("error", code="core-outdated", message="this core is older")

    fake.scripts["sandbox.list"] = old
    monkeypatch.setattr(blocking, "stop_core", lambda: True)
    with pytest.raises(CoreUnavailable, match="still older"):
        await call(SandboxList())


async def test_a_core_that_says_nothing_is_given_up(
    fake: FakeCore, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(conn: Conn, request: Message) -> None:
        with pytest.raises(OSError, match="gone"):
            conn.receive()

    fake.scripts["sandbox.list"] = silent
    monkeypatch.setattr(record, "QUIET_SECONDS", 0.2)
    with pytest.raises(CoreUnavailable, match="not answered"):
        await call(SandboxList())


async def test_somebody_elses_socket_is_refused(
    fake: FakeCore, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    # the runtime directory's name has the uid in it: lead the client to the socket that it must not trust
    monkeypatch.setattr(plain, "runtime_directory", lambda: os.fspath(fake.path.parent))
    monkeypatch.setattr(asynchronous, "runtime_directory", lambda: os.fspath(fake.path.parent))
    with pytest.raises(CoreUnavailable, match="belongs to user"):
        await call(SandboxList())


async def test_a_created_sandbox_is_removed_at_the_end_of_its_block(fake: FakeCore) -> None:
    lines: list[str] = []
    async with await Sandbox.create("short", progress=lines.append) as sb:
        assert sb.info.state == "running"
    async with await Sandbox.create("kept", keep=True):
        pass
    async with await Sandbox.get("demo"):
        pass
    assert [sandbox.name for sandbox in await Sandbox.list()] == ["demo", "kept"]
    assert lines == ["booting"]


async def test_a_block_may_remove_its_sandbox_itself(fake: FakeCore) -> None:
    async with await Sandbox.create("short") as sb:
        await sb.rm(force=True)
    assert [sandbox.name for sandbox in await Sandbox.list()] == ["demo"]


async def test_a_cancelled_create_leaves_nothing(fake: FakeCore) -> None:
    def slow(conn: Conn, request: Message) -> None:
        del fake.scripts["sandbox.create"]
        fake.answer(conn, request)
        with pytest.raises(OSError, match="gone"):
            conn.receive()

    fake.scripts["sandbox.create"] = slow
    with anyio.move_on_after(0.3) as scope:
        await Sandbox.create("never")
    assert scope.cancelled_caught
    assert [sandbox.name for sandbox in await Sandbox.list()] == ["demo"]


async def test_a_failed_create_removes_nobody_elses(fake: FakeCore) -> None:
    def taken(conn: Conn, request: Message) -> None:
        conn.message("error", **AlreadyExists("there is a sandbox demo").to_wire())

    fake.scripts["sandbox.create"] = taken
    with pytest.raises(AlreadyExists):
        await Sandbox.create("demo")
    assert [sandbox.name for sandbox in await Sandbox.list()] == ["demo"]


def test_the_version_is_in_one_place() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "sandtop.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", sandtop.__version__)
