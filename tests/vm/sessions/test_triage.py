"""Why programs of a real guest ended badly, alert rules on what they write, and a command in several at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.settings import write_settings

from .conftest import SETTINGS, Home, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.vm]
RULES = """
[[alerts]]
name = "full"
when = "output ~ 'No space left'"
[[alerts]]
name = "seven"
when = "exit == 7 and label.team == 'none'"
"""


@pytest.fixture
def alerted(home: Home) -> Iterator[Home]:
    """The home with alert rules: its core is started anew, and once more without them."""
    write_settings(home.path, SETTINGS, RULES)
    home.do("core", "stop")
    yield home
    write_settings(home.path, SETTINGS)
    home.do("core", "stop")


def cause(home: Home, box: str, *arguments: str) -> tuple[int, str | None]:
    """How a command ends, and the cause that the core found for it."""
    status = home.run("exec", *arguments).returncode
    record = home.last_session(box)["record"]
    home.do("ack", box)
    return status, record["cause"]


def test_why_programs_end_badly(home: Home, box: str) -> None:
    raises = "import sys\ndef f(): raise ValueError('boom')\nprint('fine'); f()"
    assert cause(home, box, box, "--", "python3", "-c", raises) == (1, "ValueError: boom")
    assert cause(home, box, box, "--", "sh", "-c", "echo said; exit 3") == (3, "said")
    assert cause(home, box, "-t", box, "--", "sh", "-c", "printf '\\033[31mred\\033[0m\\n'; exit 3") == (
        3,
        "red",
    )
    assert cause(home, box, "--timeout", "1", box, "--", "sleep", "60") == (124, "after its limit of 1 s")
    assert cause(home, box, box, "--", "sh", "-c", "kill -9 $$") == (137, "killed, sent in the sandbox")
    status, why = cause(home, box, box, "--", "sh", "-c", "kill -11 $$")
    assert (status, (why or "").lower()) == (139, "segmentation fault")
    status, why = cause(home, box, box, "--", "python3", "-c", "a = bytearray(b'x') * (4 << 30)")
    assert status in (1, 137)  # refused at once, or taken until there was none
    assert why is not None
    assert "at its peak" in why or "MemoryError" in why


def test_who_killed_it_and_the_timeline(home: Home, box: str) -> None:
    key = home.do("exec", "-d", box, "--", "sleep", "1000").decode().strip()
    home.do("signal", box, key, "KILL")
    eventually(lambda: home.session(box, key)["state"] == "exited")
    record = home.session(box, key)["record"]
    assert record["cause"].startswith("sent by sandtop signal (pid ")
    assert home.session(box, key)["acknowledged"] is True
    failed = home.run("exec", box, "--", "sh", "-c", "echo gone >&2; exit 4").returncode
    assert failed == 4
    newest: dict[str, Any] = home.json("failures", box)[0]
    assert (newest["ended"], newest["cause"], newest["acknowledged"]) == ("exit 4", "gone", False)
    assert newest["memory_peak"] > 0
    assert home.box(box)["attention"] == "exit 4 · gone"
    home.do("ack", box, newest["session"])
    assert home.box(box)["attention"] is None
    home.do("ack", "--undo", box, newest["session"])
    assert home.box(box)["attention"] == "exit 4 · gone"
    home.do("ack", box)


def test_a_command_in_several_is_one_result(home: Home, box: str, other: str) -> None:
    done = home.run(
        "exec", "--all", "--json", "--", "sh", "-c", 'test "$(hostname)" = ' + box + " && exit 5; uname -r"
    )
    found = {one["sandbox"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 5
    assert {box, other} <= found.keys()
    assert found[box]["exit_code"] == 5
    assert found[other]["stdout"].startswith("6.")
    assert found[box]["group"] != found[other]["group"]
    home.do("ack", box)


def test_alert_rules(alerted: Home, box: str) -> None:
    eventually(lambda: alerted.run("exec", box, "--", "true").returncode == 0)
    assert (
        alerted.run(
            "exec", box, "--", "sh", "-c", "sleep 2; echo 'cp: No space left on device'; sleep 2"
        ).returncode
        == 0
    )
    eventually(lambda: alerted.box(box)["attention_kind"] == "alert")
    shown = alerted.box(box)
    assert shown["attention"] == "full · cp: No space left on device"
    assert [one["name"] for one in shown["alerts"]] == ["full"]
    alerted.do("ack", box)
    assert alerted.box(box)["attention"] is None
