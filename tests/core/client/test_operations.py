"""Whatever the core can be asked, the SDK asks: each operation of the contract has a call."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

import sandtop
from sandtop import GivenSecret, Sandbox, SandtopError
from sandtop.core.client.link import blocking
from sandtop.core.client.link.exec_messages import exec_message, request_of
from sandtop.core.contract import operations
from sandtop.core.contract.codec import decode_request
from sandtop.core.contract.session import Builtin, SessionExec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.fakecore import FakeCore

    from sandtop.core.contract.core import Stop


def calls(box: Sandbox, session: str, folder: Path) -> dict[str, Callable[[], Awaitable[object]]]:
    """For each operation the SDK's call that asks for it."""

    async def forward() -> None:
        async with box.forward("8080:80"):
            pass

    async def hold() -> None:
        async with box.hold():
            pass

    async def follow() -> None:
        async with await box.follow(session):
            pass

    async def merged() -> None:
        async for _ in sandtop.merged_logs():
            pass

    async def resize() -> None:
        async with await box.exec_stream("cat", tty=True) as process:
            await process.resize(30, 100)

    async def watch() -> None:
        async for _ in box.files.watch("/"):
            pass

    return {
        "file.list": lambda: box.files.list("/"),
        "file.mkdir": lambda: box.files.mkdir("/new"),
        "file.read": lambda: box.files.read("/file"),
        "file.rename": lambda: box.files.rename("/file", "/other"),
        "file.rm": lambda: box.files.remove("/file"),
        "file.stat": lambda: box.files.stat("/file"),
        "file.watch": watch,
        "file.write": lambda: box.files.write("/file", b"x"),
        "session.acknowledge": lambda: box.acknowledge(session),
        "session.exec": lambda: box.exec("true"),
        "session.follow": follow,
        "session.list": sandtop.sessions,
        "session.logs": lambda: box.logs(session),
        "session.resize": resize,
        "session.rm": lambda: box.remove_session(session),
        "session.screen": lambda: box.screen(session),
        "session.signal": lambda: box.signal(session, "TERM"),
        "core.status": sandtop.core_status,
        "image.build": lambda: sandtop.build_image("tools", folder),
        "image.list": sandtop.images,
        "image.commit": lambda: box.commit("committed"),
        "image.steps": lambda: sandtop.build_dockerfile(folder, "built"),
        "image.step": lambda: sandtop.build_dockerfile(folder, "built"),
        "image.assemble": lambda: sandtop.build_dockerfile(folder, "built"),
        "image.rm": lambda: sandtop.remove_image("tools"),
        "image.warm": sandtop.warm_image,
        "image.pull": lambda: sandtop.pull_image("debian:12"),
        "image.load": lambda: sandtop.load_images(folder),
        "image.tag": lambda: sandtop.tag_image("base", "new"),
        "image.inspect": lambda: sandtop.inspect_image("base"),
        "image.prune": sandtop.prune_images,
        "sandbox.acknowledge": box.acknowledge,
        "sandbox.create": lambda: Sandbox.create("new"),
        "sandbox.hold": hold,
        "sandbox.inspect": box.inspect,
        "sandbox.list": Sandbox.list,
        "sandbox.pause": box.pause,
        "sandbox.ping": box.ping,
        "sandbox.restart": box.restart,
        "sandbox.resume": box.resume,
        "sandbox.start": box.start,
        "sandbox.rm": box.rm,
        "sandbox.stop": box.stop,
        "core.stop": sandtop.stop_core,
        "core.metrics": sandtop.serve_metrics,
        "core.stats": sandtop.stats,
        "core.events": sandtop.events,
        "core.logs": merged,
        "sandbox.top": box.top,
        "sandbox.console": box.console,
        "sandbox.connect": lambda: box.connect(80),
        "sandbox.forward": forward,
        "sandbox.update": lambda: box.update(disk=4096),
        "net.allow": lambda: box.allow("git.example.org"),
        "net.deny": lambda: box.deny("git.example.org"),
        "net.log": box.egress,
        "net.secret": lambda: box.give_secrets(
            GivenSecret(name="API", host="api.example.com", value="a-value-of-it")
        ),
        "volume.create": lambda: sandtop.create_volume("data"),
        "volume.inspect": lambda: sandtop.inspect_volume("data"),
        "volume.list": sandtop.volumes,
        "volume.prune": sandtop.prune_volumes,
        "volume.rm": lambda: sandtop.remove_volume("data"),
    }


@pytest.mark.anyio
async def test_every_operation_has_a_call(
    fake: FakeCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[Stop] = []

    def stop(request: Stop) -> None:  # a core that ends would be waited for
        stopped.append(request)

    monkeypatch.setattr(blocking, "call_running", stop)
    box = await Sandbox.get("demo")
    session = (await box.exec_detached("true")).id
    (tmp_path / "Dockerfile").write_text("FROM base\nRUN true\n")
    asking = calls(box, session, tmp_path)
    assert asking.keys() == operations().keys()
    for op, call in asking.items():
        fake.requests.clear()
        # what this core does not do, or has done, it refuses; that it was asked is what counts
        with suppress(SandtopError), anyio.fail_after(20):
            await call()
        assert op in [request["op"] for request in fake.requests] or (op == "core.stop" and stopped), op


def test_the_message_that_starts_a_session_is_the_contracts() -> None:
    """It is made without importing the contract."""
    message = exec_message(
        "demo",
        argv=["a"],
        env={"A": "b"},
        timeout=1.5,
        rlimits={"nofile": [1, 2]},
        tty=(24, 80),
        labels={"c": "d"},
    )
    request = request_of(message)
    assert request.message() == message
    assert decode_request(SessionExec, message) == request
    assert exec_message("demo", builtin=Builtin(name="tar-create", paths=["a"]))["builtin"]["paths"] == ["a"]
