"""Metrics, scraped from a core on machines in memory, and read by Prometheus' own parser."""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from tests.core.cli.process import modules_after

from sandtop.core.daemon.metrics import MetricsServer
from sandtop.core.errors import InvalidRequest, StorageError
from sandtop.core.machine import Usage

from .test_upkeep import execute

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from .conftest import RunCase
    from .lab import Core, Lab

pytest.importorskip("prometheus_client")
NAME = re.compile(r"sandtop_[a-z_]+")


@asynccontextmanager
async def serving(core: Core) -> AsyncGenerator[MetricsServer]:
    async with trio.open_nursery() as nursery:
        yield MetricsServer(core.context.paths, core.fleet, nursery)
        nursery.cancel_scope.cancel()


async def ask(address: str, request: bytes = b"GET /metrics HTTP/1.1\r\n\r\n") -> tuple[str, str]:
    """The status line of what is answered, and the body."""
    if address.startswith("unix:"):
        stream: trio.SocketStream = await trio.open_unix_socket(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
    data = b""
    async with stream:
        await stream.send_all(request)
        while piece := await stream.receive_some(65536):
            data += piece
    head, _, body = data.decode().partition("\r\n\r\n")
    assert f"Content-Length: {len(body.encode())}" in head
    return head.partition("\r\n")[0], body


def mode(address: str) -> int | None:
    """The permissions of the socket; None where it is gone."""
    try:
        return os.stat(address.removeprefix("unix:")).st_mode & 0o777
    except FileNotFoundError:
        return None


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The samples by their names."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), float(sample.value)))
    return found


def test_what_is_scraped(run: RunCase, tmp_path: Path) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core(maintained=True) as core, serving(core) as metrics:
            box = await core.create()
            other = await core.create("other")
            await other.pause()
            execute(box, "a" * 16, "sleep", "1000")
            lab.world.of(box.row.uuid).usage = Usage(12.5, 123 << 20)
            await trio.sleep(30)
            address = f"unix:{tmp_path}/m.sock"
            await metrics.serve(address)
            assert mode(address) == 0o600
            status, body = await ask(address)
            assert status == "HTTP/1.1 200 OK"
            found = parsed(body)
            assert all(NAME.fullmatch(name) for name in found)
            its = {"sandbox": "box", "uuid": box.row.uuid}
            assert (its, 12.5) in found["sandtop_sandbox_cpu_seconds_total"]
            assert (its, float(123 << 20)) in found["sandtop_sandbox_host_memory_bytes"]
            assert (its, 1.0) in found["sandtop_sandbox_sessions"]
            assert ({**its, "state": "running"}, 1.0) in found["sandtop_sandbox_state"]
            assert found["sandtop_sandboxes"] == [({"state": "paused"}, 1.0), ({"state": "running"}, 1.0)]
            assert ({"kind": "created"}, 2.0) in found["sandtop_events_total"]
            assert (
                found["sandtop_host_memory_bytes"][0][1] > found["sandtop_host_memory_used_bytes"][0][1] > 0
            )
            assert found["sandtop_core_cpu_seconds_total"][0][1] > 0
            assert (await ask(address, b"GET / HTTP/1.1\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
            assert (await ask(address, b"POST /metrics HTTP/1.1\r\n\r\n"))[
                0
            ] == "HTTP/1.1 405 Method Not Allowed"
            assert (await ask(address, b"x" * 8192))[0] == "HTTP/1.1 405 Method Not Allowed"
            await metrics.serve("off")
            assert mode(address) is None

    run(case)


def test_the_next_core_serves_them_where_the_last_did(run: RunCase, tmp_path: Path) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core:
            async with serving(core) as metrics:
                await metrics.begin("")
                assert metrics.address is None
                await metrics.serve(f"unix:{tmp_path}/m.sock")
            async with serving(core) as later:  # the last one was killed
                await later.begin("")
                assert later.address == f"unix:{tmp_path}/m.sock"
                assert (await ask(f"unix:{tmp_path}/m.sock"))[0] == "HTTP/1.1 200 OK"
                later.stop()
            async with serving(core) as after:  # that one was stopped
                await after.begin("")
                assert after.address is None
                await after.begin(f"unix:{tmp_path}/of-the-settings.sock")
                assert (await ask(f"unix:{tmp_path}/of-the-settings.sock"))[0] == "HTTP/1.1 200 OK"

    run(case)


def test_a_loopback_port(run: RunCase) -> None:
    async def case(lab: Lab) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with lab.core() as core, serving(core) as metrics:
            await metrics.serve(f"127.0.0.1:{port}")
            assert (await ask(f"127.0.0.1:{port}"))[0] == "HTTP/1.1 200 OK"
            with socket.socket() as other:
                other.bind(("127.0.0.1", 0))
                other.listen()
                with pytest.raises(StorageError, match="cannot listen"):
                    await metrics.serve(f"localhost:{other.getsockname()[1]}")
            assert metrics.address == f"127.0.0.1:{port}"  # as before

    run(case)


@pytest.mark.parametrize(
    "address",
    [
        "", "x", "0.0.0.0:9464", "192.0.2.1:80", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "unix:", "unix:rel",
        "[::]:9464", "host:80", "127.0.0.1:x", "unix:/dev/null",
    ],
)  # fmt: skip
def test_an_address_that_is_none(run: RunCase, address: str) -> None:
    async def case(lab: Lab) -> None:
        async with lab.core() as core, serving(core) as metrics:
            with pytest.raises(InvalidRequest) as caught:
                await metrics.serve(address)
            assert caught.value.hint
            assert metrics.address is None
            await metrics.begin(address)  # of the settings: said in the log, and no reason not to start

    run(case)


def test_without_the_library_it_says_which(run: RunCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    async def case(lab: Lab) -> None:
        async with lab.core() as core, serving(core) as metrics:
            with pytest.raises(InvalidRequest, match="prometheus_client") as caught:
                await metrics.serve("127.0.0.1:9464")
            assert caught.value.hint is not None
            assert "sandtop[metrics]" in caught.value.hint

    run(case)


def test_a_core_that_nobody_scrapes_does_not_import_the_library() -> None:
    loaded = modules_after("import sandtop.core.daemon.app")
    assert "sandtop.core.daemon.metrics" in loaded
    assert not any(name.startswith("prometheus_client") for name in loaded)
