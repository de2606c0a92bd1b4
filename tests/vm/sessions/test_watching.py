"""What is told of use, processes, events and consoles is true of a real guest, and goes on when the core dies."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import PATIENCE, Home, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.vm]
MIB = 1 << 20


def stats(home: Home, *arguments: str) -> dict[str, Any]:
    """What ``sandtop stats`` says of the first sandbox."""
    sample = json.loads(home.do("stats", *arguments, "--json"))
    found: dict[str, Any] = sample["sandboxes"][0]
    return found


def processes(home: Home, box: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(home.do("top", box, "--json"))["processes"]
    return found


def test_a_program_that_takes_the_processor_is_first(home: Home, box: str) -> None:
    session = home.do("exec", "-d", box, "--", "sh", "-c", "while :; do :; done").decode().strip()
    try:

        def burns() -> bool:
            first = processes(home, box)[0]
            return bool(first["session"] == session and first["cpu"] > 20)

        eventually(burns)
        row = next(one for one in processes(home, box) if one["session"] == session)
        assert (row["user"], row["state"], row["command"]) == ("root", "R", "sh -c while :; do :; done")
        agent = next(one for one in processes(home, box) if one["pid"] == 1)
        assert agent["session"] is None

        def counted() -> bool:
            its = {one["id"]: one for one in stats(home, box, "--sessions")["by_session"] or ()}
            return session in its and (its[session]["cpu"] or 0) > 20

        eventually(counted)
        assert stats(home, box)["cpu"] > 1
    finally:
        home.do("signal", "--all", box, session, "KILL")


def test_memory_that_is_taken_is_seen(home: Home, box: str) -> None:
    before = stats(home, box)
    script = "import time; a = bytearray(b'x') * (80 << 20); print('there', flush=True); time.sleep(1000)"
    session = home.do("exec", "-d", box, "--", "python3", "-c", script).decode().strip()
    try:
        eventually(lambda: home.do("logs", box, session) == b"there\n")
        now = stats(home, box, "--sessions")
        assert now["memory"] - before["memory"] > 60 * MIB
        assert now["memory_peak"] >= now["memory"]
        assert now["memory"] <= now["memory_limit"]
        assert now["host_memory"] > 80 * MIB
        its = next(one for one in now["by_session"] if one["id"] == session)
        assert 80 * MIB < its["memory"] < 130 * MIB
        row = next(one for one in processes(home, box) if one["session"] == session)
        assert 80 * MIB < row["memory"] < 130 * MIB
    finally:
        home.do("signal", "--all", box, session, "KILL")


def test_what_runs_out_of_memory_is_an_event(home: Home, box: str) -> None:
    script = "a = []\nwhile True: a.append(bytearray(b'x') * (8 << 20))"
    assert home.run("exec", box, "--", "python3", "-c", script).returncode == 137
    event = home.json("events", box, "--kind", "oom")[-1]
    assert event["record"]["reason"] == "oom"
    assert event["record"]["memory_peak"] > 50 * MIB
    assert event["message"].startswith("ran out of memory: ")
    told = [one["kind"] for one in home.json("events", box) if one["session"] == event["session"]]
    assert told == ["session-started", "oom", "session-exited"]


def test_what_the_kernel_prints(home: Home, box: str) -> None:
    home.do("exec", box, "--", "sh", "-c", "echo '<0>a word of the kernel' > /dev/kmsg")
    eventually(lambda: b"a word of the kernel" in home.do("console", box, "--tail", "20"))
    with home.popen("console", box, "-f", "--tail", "0", "--json", stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        try:
            came = False
            while not came:  # again until it has begun to follow
                home.do("exec", box, "--", "sh", "-c", "echo '<0>another word' > /dev/kmsg")
                came = bool(select.select([following.stdout], [], [], 1)[0])
            assert "another word" in json.loads(following.stdout.readline())["line"]
        finally:
            following.kill()


def test_merged_logs_go_on_when_the_core_dies(home: Home, box: str, other: str) -> None:
    script = "for i in $(seq 20); do echo $0 $i; sleep 0.3; done"
    begun = time.strftime("%Y-%m-%dT%H:%M:%S")  # a whole second, so earlier than what follows
    with home.popen(
        "logs",
        "--sandbox",
        box,
        "--sandbox",
        other,
        "--since",
        "0.1s",
        "-f",
        "--json",
        stdout=subprocess.PIPE,
    ) as following:
        assert following.stdout is not None
        keys = [
            home.do("exec", "-d", name, "--", "sh", "-c", script, name).decode().strip()
            for name in (box, other)
        ]
        seen: list[dict[str, Any]] = []
        try:
            while len(seen) < 40:
                line = json.loads(following.stdout.readline())
                if line["session"] in keys:
                    seen.append(line)
                    if len(seen) == 10:
                        home.kill_core()
        finally:
            following.kill()
    sources = list(zip((box, other), keys, strict=True))
    for name, key in sources:
        assert [one["line"] for one in seen if one["session"] == key] == [
            f"{name} {n + 1}" for n in range(20)
        ]
    text = home.do("logs", "--sandbox", box, "--sandbox", other, "--since", begun, "--timestamps")
    # split at newlines alone: other tests' shells on terminals write carriage returns within lines
    lines = [line.split(" ", 3) for line in text.decode(errors="replace").split("\n")[:-1]]
    assert {line[1] for line in lines} == {box, other}
    mine = [f"{name} {key[:4]}: {name} {n + 1}" for name, key in sources for n in range(20)]
    ours = [(line[0], " ".join(line[1:])) for line in lines if " ".join(line[1:]) in mine]
    assert sorted(line for _, line in ours) == sorted(mine)
    assert [at for at, _ in ours] == sorted(at for at, _ in ours)


def test_events_that_are_followed_come_once_although_the_core_dies(home: Home, box: str) -> None:
    before = home.json("events", box)[-1]["id"]
    ours = ["true", "exit 0: true", "false", "exit 1: false"]  # sessions of earlier tests may still be ending
    with home.popen("events", box, "-f", "--since", "1h", "--json", stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        events: list[dict[str, Any]] = []

        def until(message: str) -> None:
            assert following.stdout is not None
            while not events or events[-1]["message"] != message:
                event = json.loads(following.stdout.readline())
                if event["id"] > before and event["message"] in ours:
                    events.append(event)

        try:
            home.do("exec", box, "--", "true")
            until("exit 0: true")
            home.kill_core()
            assert home.run("exec", box, "--", "false").returncode == 1
            until("exit 1: false")
        finally:
            following.kill()
    ids = [one["id"] for one in events]
    assert ids == sorted(set(ids))
    assert [one["message"] for one in events] == ours
    assert [one["kind"] for one in events] == ["session-started", "session-exited"] * 2


def scrape(path: Path) -> dict[str, str]:
    """The metrics behind a Unix socket: each line's name with its labels, and its value."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(PATIENCE)
        link.connect(str(path))
        link.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        data = b""
        while piece := link.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_metrics_are_scraped_also_of_the_next_core(home: Home, box: str, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    path = tmp_path / "m.sock"
    home.do("core", "start", "--metrics", f"unix:{path}")
    found = scrape(path)
    uuid = home.box(box)["uuid"]
    seconds = float(found[f'sandtop_sandbox_cpu_seconds_total{{sandbox="{box}",uuid="{uuid}"}}'])
    assert seconds > 0
    home.do("exec", box, "--", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    home.kill_core()

    def again() -> bool:
        try:
            later = scrape(path)
        except OSError:
            return False
        key = f'sandtop_sandbox_cpu_seconds_total{{sandbox="{box}",uuid="{uuid}"}}'
        return key in later and float(later[key]) > seconds

    eventually(again)
    home.do("core", "start", "--metrics", "off")
    assert not path.exists()
