"""The core is killed, and so is QEMU: what was promised still holds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.settings import SLOWER

from .conftest import PATIENCE, eventually, say

if TYPE_CHECKING:
    from .conftest import Home


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_share(pid: int) -> float:
    """Of one processor, that a process uses over some seconds: what is measured is how little happens meanwhile."""
    used, since = cpu_seconds(pid), time.monotonic()
    time.sleep(5)
    return (cpu_seconds(pid) - used) / (time.monotonic() - since)


def test_between_two_commands(home: Home, box: str) -> None:
    before = home.box(box)
    home.do("exec", box, "--", "sh", "-c", "echo here >/root/mark")
    assert home.kill_core() is not None
    after = home.box(box)
    assert after["state"] == "running"
    assert (after["pid"], after["uuid"], after["started_at"]) == (
        before["pid"],
        before["uuid"],
        before["started_at"],
    )
    assert home.do("exec", box, "--", "cat", "/root/mark") == b"here\n"


def test_a_timeout_fires_while_core_and_supervisor_are_dead_and_the_idle_machine_costs_nothing(
    home: Home, box: str
) -> None:
    begun = time.time()
    key = home.do("exec", "-d", "--timeout", "2", box, "--", "sh", "-c", "echo on; sleep 1238; echo off")
    qemu, supervisor = home.box(box)["pid"], home.supervisor_pid()
    eventually(lambda: home.supervisors() == [supervisor])
    os.kill(supervisor, signal.SIGKILL)
    home.kill_core()
    time.sleep(max(0.0, begun + 4 - time.time()))  # the timeout passes with nobody there
    assert home.core_pid() is None
    idle = 0.01 * SLOWER
    shares = [idle_share(qemu)]
    # it may have been writing its disk's journal, and other tests leave the caches cold
    while shares[-1] >= idle and len(shares) < 12:
        shares.append(idle_share(qemu))
    assert home.core_pid() is None
    session = home.session(box, key.split()[-1].decode())
    eventually(lambda: home.session(box, session["id"])["state"] == "exited")
    session = home.session(box, session["id"])
    assert (session["exit_code"], session["reason"]) == (124, "timeout")
    assert 1900 <= session["record"]["duration_ms"] <= 3500 * SLOWER  # on time, whenever the core came back
    assert home.do("logs", box, session["id"]) == b"on\n"
    say(f"an idle machine without a core: {shares[-1]:.2%} of a processor")
    assert shares[-1] < idle


def test_a_client_that_goes_away_with_the_core_alive_or_dead(home: Home, box: str) -> None:
    """The SDK's default: what a block started does not outlive its program, whatever dies first."""
    program = (
        "import anyio, sys\nfrom sandtop import Sandbox\n"
        "async def main():\n"
        f"    box = await Sandbox.get({box!r})\n"
        "    async with await box.exec_stream('sleep', ['1239']) as process:\n"
        "        print(process.session, flush=True)\n"
        "        await process.wait()\n"
        "anyio.run(main)\n"
    )
    for core_too in (False, True):
        with subprocess.Popen(
            [home_python(), "-c", program], env=home.environment, stdout=subprocess.PIPE
        ) as client:
            assert client.stdout is not None
            key = client.stdout.readline().strip().decode()
            assert len(key) == 16
            if core_too:
                home.kill_core()
            client.kill()
        eventually(lambda key=key: home.session(box, key)["state"] == "exited", 60)  # type: ignore[misc]
        assert home.session(box, key)["signal"] == 9


def home_python() -> str:
    import sys

    return sys.executable


def test_a_core_that_is_stopped_and_started_finds_its_sessions(home: Home, box: str) -> None:
    with home.popen("exec", "-i", box, "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"before\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"before\n"
        home.do("core", "stop")
        client.stdin.write(b"after\n")
        client.stdin.close()
        assert client.stdout.read() == b"after\n"
        assert client.wait(PATIENCE) == 0


def test_a_killed_machine_is_noticed_and_says_so(home: Home, other: str) -> None:
    home.do("exec", other, "--", "sh", "-c", "echo whole >/root/kept; sync")
    with home.popen(
        "exec",
        other,
        "--",
        "sh",
        "-c",
        "echo some; sleep 1240",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None
        assert client.stderr is not None
        assert client.stdout.readline() == b"some\n"
        os.kill(home.box(other)["pid"], signal.SIGKILL)
        killed = time.monotonic()
        status = client.wait(30 * SLOWER)
        assert status == 125  # never 0, never the status of a program
        assert time.monotonic() - killed < 3 * SLOWER
        assert b"died" in client.stderr.read() or client.returncode == 125
    took = eventually(lambda: home.box(other)["state"] != "running", 2)
    shown = home.box(other)
    say(f"noticed within {time.monotonic() - killed:.2f} s (asked after {took:.2f} s): {shown['reason']}")
    assert shown["state"] == "failed"
    assert shown["reason"]
    session = home.last_session(other)
    assert (session["state"], session["reason"], session["exit_code"]) == ("lost", "vm-died", 125)
    assert home.do("logs", other, session["id"]) == b"some\n"
    begun = time.monotonic()
    done = home.run("exec", other, "--", "true")
    assert done.returncode == 125
    assert time.monotonic() - begun < 5 * SLOWER
    assert other in done.stderr.decode()
    home.do("start", other)
    assert home.do("exec", other, "--", "cat", "/root/kept") == b"whole\n"
    assert home.session(other, session["id"])["state"] == "lost"


def test_a_machine_and_the_core_killed_together(home: Home, other: str) -> None:
    key = home.do("exec", "-d", other, "--", "sh", "-c", "echo word; sleep 1241").split()[-1].decode()
    eventually(lambda: home.session(other, key)["stdout_bytes"] == 5)
    pid = home.box(other)["pid"]
    home.kill_core()
    os.kill(pid, signal.SIGKILL)
    shown = home.box(other)
    assert shown["state"] in ("lost", "failed")
    session = home.session(other, key)
    assert (session["state"], session["reason"]) == ("lost", "vm-died")
    assert home.do("logs", other, key) == b"word\n"
    home.do("start", other)
    assert home.do("exec", other, "--", "echo", "again") == b"again\n"


def machines(uuid: str) -> list[int]:
    """The living QEMU processes of a sandbox."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if uuid.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.parametrize("after", ["the request", "QEMU's start"])
def test_while_a_sandbox_is_made(home: Home, after: str) -> None:
    """The client asks the next core again: one sandbox comes of it, with one machine, and nothing sticks."""
    home.do("ls")
    name = "m" + str(len(after))
    with home.popen("create", name) as client:
        wants_pid = after == "QEMU's start"
        eventually(
            lambda: any(each["name"] == name and (each["pid"] or not wants_pid) for each in home.boxes())
        )
        assert home.kill_core() is not None
        assert client.wait(PATIENCE) == 0
    shown = home.box(name)
    assert shown["state"] == "running"
    assert machines(shown["uuid"]) == [shown["pid"]]
    assert home.do("exec", name, "--", "echo", "up") == b"up\n"
    assert home.kill_core() is not None
    home.do("rm", "--force", name)
    assert machines(shown["uuid"]) == []
    assert not (home.path / "data" / "sandboxes" / shown["uuid"]).exists()


def test_a_machine_that_hangs_holds_nobody_up_and_is_found_again(home: Home, box: str, other: str) -> None:
    hung = home.box(other)["pid"]
    os.kill(hung, signal.SIGSTOP)
    try:
        home.kill_core()
        begun = time.monotonic()
        assert {each["name"] for each in home.boxes()} >= {box, other}
        assert home.do("exec", box, "--", "echo", "here") == b"here\n"
        assert time.monotonic() - begun < 10 * SLOWER
    finally:
        os.kill(hung, signal.SIGCONT)
    assert home.do("exec", other, "--", "echo", "back") == b"back\n"
    assert home.box(other)["pid"] == hung


def test_a_machine_that_hangs_can_be_ended_after_the_core_came_back(home: Home) -> None:
    home.do("create", "hung")
    shown = home.box("hung")
    os.kill(shown["pid"], signal.SIGSTOP)
    home.kill_core()
    eventually(lambda: home.box("hung")["attention"] == "its machine does not answer")
    done = home.run("stop", "hung")
    assert done.returncode == 125
    assert "sandtop stop --force hung" in done.stderr.decode()
    home.do("stop", "--force", "hung")
    assert home.box("hung")["state"] == "stopped"
    assert machines(shown["uuid"]) == []
    home.do("start", "hung")
    assert home.do("exec", "hung", "--", "echo", "anew") == b"anew\n"
    home.do("pause", "hung")
    os.kill(home.box("hung")["pid"], signal.SIGSTOP)
    home.kill_core()
    done = home.run("resume", "hung")
    assert done.returncode == 125
    assert "its machine does not answer" in done.stderr.decode()
    home.do("rm", "--force", "hung")
    assert machines(shown["uuid"]) == []
