"""Commands for the sandboxes with a label: what they list, and what they acknowledge; on a fake core."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeCore, ended, sandbox, session

from sandtop.core import paths

from .process import Done, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCore]:
    """Of team a one failed itself, in one a command failed, and one waits; of team b a command failed; one is well."""
    monkeypatch.setenv("SANDTOP_HOME", str(tmp_path))
    paths.ensure_private(paths.find().runtime)
    team = {"team": "a"}
    with FakeCore(
        sandbox("gone", "failed", labels=team),
        sandbox("tests", labels=team),
        sandbox("deploy", labels=team | {"env": "ci"}),
        sandbox("other", labels={"team": "b"}),
        sandbox("well", labels=team),
        sessions=(
            ended("a1", "tests", "make", code=2, ended_at=NOW),
            ended("a2", "tests", "true", code=0, ended_at=NOW),
            session("b1", "deploy", "./deploy", tty=True, waits="leader"),
            ended("c1", "other", "make", code=3, ended_at=NOW),
        ),
    ) as fake:
        yield fake


def run(*arguments: str) -> Done:
    done = subprocess.run(command(*arguments), capture_output=True, timeout=60, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def names(*arguments: str) -> list[str]:
    return run(*arguments).out.decode().split()


def test_what_is_listed(core: FakeCore) -> None:
    assert names("ls", "-q", "--label", "team=a") == ["gone", "tests", "deploy", "well"]
    assert names("ls", "-q", "--label", "team=a", "--label", "env=ci") == ["deploy"]
    assert names("ls", "-q", "--label", "team=c") == []
    failures = json.loads(run("failures", "--label", "team=a", "--json").out)
    assert sorted(one["sandbox"] for one in failures) == ["gone", "tests"]


def test_what_asks_is_acknowledged_and_nothing_else(core: FakeCore) -> None:
    done = run("ack", "--label", "team=a")
    assert (done.status, done.err) == (0, b"")
    assert done.out.decode().split() == ["gone", "a1" * 8, "b1" * 8]
    assert len(core.asked("sandbox.acknowledge")) == 1
    found = json.loads(run("ack", "--all", "--json").out)
    assert [(one["sandbox"], [each["id"] for each in one["sessions"]]) for one in found] == [
        (None, ["c1" * 8])
    ]
    assert run("ack", "--all") == Done(0, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no sandbox was named"),
        (("--all", "tests"), "NAME does not go with --all and --label"),
        (("--label", "team=a", "--undo"), "--undo does not go with --all and --label"),
        (("--label", "team=c"), "no sandbox has the label team=c"),
        (("--label", "team"), "'team' is not KEY=VALUE"),
    ],
)
def test_what_makes_no_sense(core: FakeCore, arguments: tuple[str, ...], said: str) -> None:
    done = run("ack", *arguments)
    assert done.status == 125
    assert said in done.err.decode()
