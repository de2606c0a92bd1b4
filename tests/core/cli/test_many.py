"""``exec`` in many sandboxes at once: one result, in groups; on real processes behind a fake core."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import FakeCore, sandbox

from sandtop.core import paths

from .process import Done, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCore]:
    """Three of team a that run, one that is stopped, and one of team b."""
    monkeypatch.setenv("SANDTOP_HOME", str(tmp_path))
    team = {"team": "a"}
    paths.ensure_private(paths.find().runtime)
    with FakeCore(
        *[sandbox(f"a{number}", labels=team) for number in range(3)],
        sandbox("asleep", "stopped", labels=team),
        sandbox("b0", labels={"team": "b"}),
        programs=True,
    ) as core:
        yield core


def run(*arguments: str) -> Done:
    done = subprocess.run(command(*arguments), capture_output=True, timeout=60, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def seen(core: FakeCore, condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds of ``core``; fails after a while."""
    deadline = time.monotonic() + 20
    with core.news:
        while not condition():
            assert time.monotonic() < deadline
            core.news.wait(0.1)


def test_all_the_same(boxes: FakeCore) -> None:
    done = run("exec", "--all", "--", "echo", "hello")
    assert (done.status, done.err) == (0, b"")
    assert done.out.decode() == "4 exit 0\n\n== 4 exit 0: a0 a1 a2 b0\nhello\n"


def test_groups_with_their_differences_and_the_highest_status(boxes: FakeCore, tmp_path: Path) -> None:
    script = f"echo same; mkdir {tmp_path}/first 2>/dev/null && {{ echo mine; exit 3; }}; exit 0"
    done = run("exec", "--label", "team=a", "--", "sh", "-c", script)
    assert done.status == 125, "asleep does not run"
    text = done.out.decode()
    first, _, rest = text.partition("\n")
    assert first == "2 exit 0 · 1 exit 3 · 1 error: cannot exec in it: it is stopped · 2 differ"
    assert "\n== 2 exit 0: " in rest
    assert "\n== 1 exit 3: a" in rest
    assert "\n+mine\n" in rest
    assert "\n== 1 error: cannot exec in it: it is stopped: asleep\n" in rest


def test_json_has_each_with_its_group(boxes: FakeCore) -> None:
    done = run(
        "exec",
        "--label",
        "team=b",
        "--json",
        "--timeout",
        "20",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 4",
    )
    assert done.status == 4
    (found,) = json.loads(done.out)
    session = found.pop("session")
    assert len(session) == 16
    assert found == {
        "sandbox": "b0", "group": 0, "exit_code": 4, "reason": "exited", "cause": "err", "stdout": "out\n",
        "stderr": "err\n", "truncated": False, "error": None,
    }  # fmt: skip


def test_more_than_is_kept_is_said_to_be_cut(boxes: FakeCore) -> None:
    done = run("exec", "--label", "team=b", "--json", "--", "head", "-c", "200000", "/dev/zero")
    (found,) = json.loads(done.out)
    assert found["truncated"] is True
    assert len(found["stdout"]) == 64 << 10


def test_hostile_output_is_made_visible(boxes: FakeCore) -> None:
    done = run("exec", "--label", "team=b", "--", "printf", r"\033]0;title\007\033[2J")
    assert b"\x1b" not in done.out
    assert r"\x1b[2J" in done.out.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--all", "a0", "--", "true"), "give --all or a0, not both"),
        (("--all", "true"), "put -- before the command"),
        (("--", "true"), "no sandbox was named"),
        (("--label", "team=c", "--", "true"), "no sandbox has the label team=c"),
        (("--all", "-i", "--", "cat"), "-i is for one sandbox"),
        (("--all", "-d", "--", "cat"), "-d is for one sandbox"),
        (("--all", "--"), "no command was given"),
        (("--json", "a0", "--", "true"), "--json is for many sandboxes"),
    ],
)
def test_what_makes_no_sense(boxes: FakeCore, arguments: tuple[str, ...], said: str) -> None:
    done = run("exec", *arguments)
    assert done.status == 125
    assert said in done.complaint
    assert not boxes.asked("session.exec")


def test_a_label_of_a_session_is_what_it_was(boxes: FakeCore) -> None:
    assert run("exec", "--label", "team=z", "a0", "--", "true").status == 0
    assert boxes.asked("session.exec")[0]["labels"] == {"team": "z"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_everywhere_and_says_what_there_is(boxes: FakeCore, number: int) -> None:
    words = command("exec", "--label", "team=a", "--", "sleep", "60")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        seen(boxes, lambda: len(boxes.following) == 3)
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert b"error: cannot exec in it" in out
    seen(boxes, lambda: not boxes.following)
    assert all(request["on_hangup"] == "kill" for request in boxes.asked("session.exec"))
