"""The synchronous SDK: the same surface as the async one, driven by it, in any thread, with nothing left behind."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import sandtop
from sandtop import sync
from sandtop.core.errors import NotFound, SpawnError
from sandtop.sync import Exited, Sandbox, Started, Stdout

from . import faces, sync_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakecore import FakeCore

    from ..conftest import Core


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever a test does, it leaves no thread of the SDK's behind."""
    before = set(threading.enumerate())
    yield
    left = [one.name for one in set(threading.enumerate()) - before if "portal" in one.name]
    assert left == []


def test_what_is_generated_is_current() -> None:
    assert sync_source.TARGET.read_text() == sync_source.source(), "run 'just generate'"
    for face, contents in faces.renewed().items():
        assert face.read_text() == contents, "run 'just generate'"


def test_the_surface_is_that_of_the_async_sdk() -> None:
    assert set(sandtop.__all__) - set(sync.__all__) == {*faces.ONLY_ASYNC, "__version__"}
    for name in ("Sandbox", "Process", "Files"):
        ours, theirs = getattr(sync, name), getattr(sandtop, name)
        public = {one for one in dir(theirs) if not one.startswith("_")} - sync_source.LEFT_OUT
        assert {one for one in dir(ours) if not one.startswith("_")} >= public - {"aclose"}
        for one in public - {
            "aclose",
            "name",
            "uuid",
            "info",
            "files",
            "session",
            "record",
            "stdin",
            "upload_tar",
        }:
            assert inspect.signature(getattr(ours, one)).parameters.keys() == (
                inspect.signature(getattr(theirs, one)).parameters.keys()
            )


def test_a_command_from_its_start_to_its_end(core: Core) -> None:
    box = Sandbox.get("demo")
    output = box.exec("sh", ["-c", "echo out; echo err >&2; exit 3"])
    assert (output.exit_code, output.stdout, output.stderr) == (3, b"out\n", b"err\n")
    assert box.exec("cat", stdin=b"in").text == "in"
    with pytest.raises(SpawnError):
        box.exec("/no/such/program")
    with pytest.raises(NotFound):
        Sandbox.get("nobody")


def test_events_and_input(core: Core) -> None:
    with Sandbox.get("demo").exec_stream("cat", stdin=True) as process:
        events = iter(process)
        started = next(events)
        assert isinstance(started, Started)
        assert started.session == process.session
        for number in range(3):
            process.stdin.send(b"%d\n" % number)
            assert isinstance(echoed := next(events), Stdout)
            assert echoed.data == b"%d\n" % number
        process.stdin.close()
        assert isinstance(last := next(events), Exited)
        assert last.record.exit_code == 0
        assert next(events, None) is None
    assert process.wait().exit_code == 0


def test_a_process_that_is_waited_for_keeps_no_thread_and_one_that_is_left_ends(core: Core) -> None:
    box = Sandbox.get("demo")
    process = box.exec_stream("true")
    assert process.wait().exit_code == 0
    assert [one.name for one in threading.enumerate() if "portal" in one.name] == []
    with box.exec_stream("sleep", ["60"]) as process:
        pass
    assert process.record is not None
    assert process.record.signal == signal.SIGKILL


def test_one_process_from_two_threads(core: Core) -> None:
    """One writes what another reads, in one process."""
    with Sandbox.get("demo").exec_stream("cat", stdin=True) as process:
        data = b"x" * 3_000_000

        def write() -> None:
            process.stdin.send(data)
            process.stdin.close()

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            got = b"".join(event.data for event in process if isinstance(event, Stdout))
            writing.result()
    assert got == data


def test_several_threads_at_once(core: Core) -> None:
    def work(number: int) -> str:
        return Sandbox.get("demo").exec("echo", [str(number)]).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [f"{number}\n" for number in range(16)]


def test_the_core_may_die_meanwhile(core: Core) -> None:
    with Sandbox.get("demo").exec_stream("sh", ["-c", "read a; echo $a"], stdin=True) as process:
        core.kill()
        process.stdin.send(b"still here\n")
        assert b"".join(event.data for event in process if isinstance(event, Stdout)) == b"still here\n"


def test_what_is_told_is_told_on_the_callers_thread(fake: FakeCore) -> None:
    told: list[tuple[str, int]] = []
    with Sandbox.create("short", progress=lambda line: told.append((line, threading.get_ident()))) as box:
        assert box.info.state == "running"
    assert {thread for _, thread in told} == {threading.get_ident()}
    assert [one.name for one in Sandbox.list()] == ["demo"]


def test_a_callback_that_raises_ends_the_call(fake: FakeCore) -> None:
    def fail(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="booting"):
        Sandbox.create("short", progress=fail)


INTERRUPTED = """
import threading
from sandtop.sync import Sandbox
box = Sandbox.get("demo")
try:
    with box.exec_stream("sleep", ["60"]) as process:
        print(process.session, flush=True)
        process.wait()
except KeyboardInterrupt:
    print([one.name for one in threading.enumerate()], process.record.signal, flush=True)
"""


def test_ctrl_c_ends_what_runs_and_leaves_nothing(core: Core) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline().strip()
        program.send_signal(signal.SIGINT)
        said, failed = program.communicate(timeout=30)
    assert said.strip() == f"['MainThread'] {int(signal.SIGKILL)}", failed
    assert failed == ""
