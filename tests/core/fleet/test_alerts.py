"""Alert rules on real sessions: when they are raised, when they are gone, what they run, and what they cost at most."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, cast

import pytest
import trio

from sandtop.agent.wire import Data
from sandtop.core.fleet.alerts import AlertWatch
from sandtop.core.fleet.attention import Why, of_sandbox
from sandtop.core.fleet.state import State
from sandtop.core.rules import parse_rules
from sandtop.core.store import Database, SandboxConfig, SandboxRow

from .test_attention import UUID, Box

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sandtop.core.fleet import Sandbox
    from sandtop.core.sessions import Session

NOW = 1_000.0


class Alerted(Box):
    """A sandbox, and what its programs write."""

    state = State.RUNNING
    name = "box"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.told: list[tuple[str, str, str | None]] = []
        self.adopting = trio.Event()
        self.adopting.set()

    def tell(self, kind: str, message: str, *, session: str | None) -> None:
        self.told.append((kind, message, session))

    def writes(self, session: Session, data: bytes, stream: int = 1) -> None:
        assert [*session.output.credits(anew=True)]
        session.output.take(Data(session.base + stream, session.log.end(stream), data))
        session.output.store()

    @property
    def raised(self) -> list[str]:
        return [alert.name for alert in self.alerts.all() if not alert.seen]


def run(
    tmp_path: Path, rules: list[dict[str, object]], case: Callable[[Alerted, AlertWatch], Awaitable[None]]
) -> None:
    async def main() -> None:
        with Database(tmp_path / "db") as database:
            config = SandboxConfig(labels={"team": "a"})
            row = SandboxRow(UUID, "box", config, "running", "", 1.0, started_at=NOW)
            database.add_sandbox(row)
            async with trio.open_nursery() as nursery:
                box = Alerted(row, database, tmp_path, nursery)
                await case(box, watch_of(box, rules))

    trio.run(main)


def watch_of(box: Alerted, rules: list[dict[str, object]]) -> AlertWatch:
    return AlertWatch(parse_rules(rules), lambda: [cast("Sandbox", box)], box.nursery)


def next_core(box: Alerted, rules: list[dict[str, object]], now: float) -> tuple[Alerted, AlertWatch]:
    """What the core that comes after this one finds in the database, and its watch."""
    after = dataclasses.replace(box)
    watch = watch_of(after, rules)
    watch.begin(now)
    return after, watch


def test_one_that_holds_is_raised_until_it_does_not(tmp_path: Path) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW + 5)
        assert box.raised == []
        await watch.look(NOW + 11)
        assert box.raised == ["quiet"]
        assert box.told == [("alert", "quiet", None)]
        found = of_sandbox(cast("Sandbox", box), NOW + 12)
        assert found is not None
        assert (found.why, found.text, found.session, found.at) == (Why.ALERT, "quiet", None, NOW + 11)
        assert box.alerts.acknowledge()
        await watch.look(NOW + 12)
        assert box.raised == []
        assert of_sandbox(cast("Sandbox", box), NOW + 12) is None
        assert box.alerts.acknowledge(undo=True)
        assert box.raised == ["quiet"]
        box.writes(box.run("tail", tty=False), b"hello\n")  # heard at the real time, long after NOW
        await watch.look(NOW + 13)
        assert box.raised == []

    run(tmp_path, [{"name": "quiet", "when": "silence > 10s and label.team == 'a'"}], case)


def test_output_is_raised_once_for_each_new_line_that_nobody_has_seen(tmp_path: Path) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW)
        session = box.run("./work", tty=False)
        box.writes(session, b"\x1b[31mNo space\x1b[0m left on de", 2)
        await watch.look(NOW + 1)
        assert box.raised == [], "the line has not ended"
        box.writes(session, b"vice\nmore\n", 2)
        await watch.look(NOW + 2)
        (alert,) = box.alerts.all()
        assert (alert.name, alert.text, alert.session) == ("full", "No space left on device", session.row.id)
        found = of_sandbox(cast("Sandbox", box), NOW)
        assert found is not None
        assert found.text == "full · No space left on device"
        await watch.look(NOW + 3)
        assert box.raised == ["full"], "it stays until somebody has seen it"
        box.alerts.acknowledge()
        await watch.look(NOW + 4)
        assert box.raised == []
        box.writes(session, b"No space again", 1)
        box.ends(session, 0)
        box.ends(box.run("true", tty=False), 0)
        await watch.look(NOW + 5)
        assert box.raised == ["full"], "a last line need not end"

    run(tmp_path, [{"name": "full", "when": "output ~ 'No space'"}], case)


QUIET: list[dict[str, object]] = [{"name": "quiet", "when": "silence > 10s"}]


def test_what_was_acknowledged_stays_so_over_a_restart_of_the_core_until_it_did_not_hold(
    tmp_path: Path,
) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW + 11)
        assert box.raised == ["quiet"]
        box, watch = next_core(box, QUIET, NOW + 12)
        assert [(alert.name, alert.at, alert.seen) for alert in box.alerts.all()] == [
            ("quiet", NOW + 11, False)
        ]
        await watch.look(NOW + 13)
        assert (box.raised, box.told) == (["quiet"], []), "it is not raised twice"
        box.alerts.acknowledge()

        box, watch = next_core(box, QUIET, NOW + 14)
        await watch.look(NOW + 15)
        assert (box.raised, box.told, len(box.alerts.all())) == ([], [], 1)

        box.row = dataclasses.replace(box.row, started_at=NOW + 16)  # it holds no more while no core looks
        box, watch = next_core(box, QUIET, NOW + 17)
        await watch.look(NOW + 18)
        assert box.alerts.all() == []
        box, watch = next_core(box, QUIET, NOW + 19)
        await watch.look(NOW + 27)
        assert (box.raised, box.told) == (["quiet"], [("alert", "quiet", None)])
        box.alerts.acknowledge()
        box.alerts.acknowledge(undo=True)
        assert next_core(box, QUIET, NOW + 28)[0].raised == ["quiet"]

    run(tmp_path, QUIET, case)


def test_a_line_is_raised_until_somebody_has_seen_it_whichever_core_found_it(tmp_path: Path) -> None:
    rules: list[dict[str, object]] = [{"name": "full", "when": "output ~ 'No space'"}]

    async def case(box: Alerted, watch: AlertWatch) -> None:
        watch.begin(NOW)
        box.writes(box.run("./work", tty=False), b"No space\n")
        await watch.look(NOW + 1)
        box, watch = next_core(box, rules, NOW + 2)
        (session,) = box.sessions.open
        await watch.look(NOW + 3)
        assert (box.raised, box.told) == (["full"], [])
        box.alerts.acknowledge()
        box, watch = next_core(box, rules, NOW + 4)
        (session,) = box.sessions.open
        box.writes(session, b"No space again\n")  # as it comes when the machine is adopted
        await watch.look(NOW + 5)
        assert box.raised == ["full"]
        (alert,) = box.alerts.all()
        assert (alert.text, alert.session, alert.at) == ("No space again", session.row.id, NOW + 5)

    run(tmp_path, rules, case)


def test_a_sandbox_of_which_nothing_is_known_yet_keeps_its_alerts(tmp_path: Path) -> None:
    rules: list[dict[str, object]] = [{"name": "loud", "when": "rate > 1K"}]

    async def case(box: Alerted, watch: AlertWatch) -> None:
        watch.begin(NOW)
        box.writes(box.run("yes", tty=False), b"y" * 5000)
        await watch.look(NOW + 1)
        box.alerts.acknowledge()
        box, watch = next_core(box, rules, NOW + 2)
        box.adopting = trio.Event()
        await watch.look(NOW + 3)
        assert [alert.seen for alert in box.alerts.all()] == [True]
        box.writes(box.sessions.open[0], b"y" * 5000)
        box.adopting.set()
        await watch.look(NOW + 4)
        assert [alert.seen for alert in box.alerts.all()] == [True]

    run(tmp_path, rules, case)


def test_the_alert_of_a_rule_that_was_taken_away_goes(tmp_path: Path) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW + 11)
        assert next_core(box, [], NOW + 12)[0].alerts.all() == []
        assert next_core(box, QUIET, NOW + 13)[0].alerts.all() == []

    run(tmp_path, QUIET, case)


def test_output_of_before_the_first_look_is_no_news(tmp_path: Path) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        session = box.run("./work", tty=False)
        box.writes(session, b"boom\n")
        await watch.look(NOW)
        await watch.look(NOW + 1)
        assert box.raised == []
        box.writes(session, b"boom\n")
        await watch.look(NOW + 2)
        assert box.raised == ["boom"]

    run(tmp_path, [{"name": "boom", "when": "output ~ 'boom'"}], case)


def test_how_a_session_ended_and_how_much_is_written(tmp_path: Path) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW)
        session = box.run("./work", "-v")
        box.writes(session, b"x" * 5000)
        await watch.look(NOW + 1)
        assert box.raised == ["loud"]
        await watch.look(NOW + 2)
        assert box.raised == []
        box.ends(session, 7)
        await watch.look(NOW + 3)
        assert box.raised == ["seven"]
        box.ends(box.run("true"), 0)
        await watch.look(NOW + 4)
        assert box.raised == []

    rules: list[dict[str, object]] = [
        {"name": "loud", "when": "rate > 4K"},
        {"name": "seven", "when": "exit == 7 and command ~ '^./work'"},
    ]
    run(tmp_path, rules, case)


def test_its_command_runs_with_what_it_is_about(tmp_path: Path) -> None:
    said = tmp_path / "said"
    key: list[str] = []

    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW)
        session = box.run("./work", tty=False)
        key.append(session.row.id)
        box.writes(session, b"boom; rm -rf /\n")
        await watch.look(NOW + 1)

    script = f'echo "$SANDTOP_ALERT $SANDTOP_SANDBOX $SANDTOP_SESSION $SANDTOP_TEXT" > {said}'
    run(tmp_path, [{"name": "boom", "when": "output ~ 'boom'", "command": ["sh", "-c", script]}], case)
    assert said.read_text() == f"boom box {key[0]} boom; rm -rf /\n"


@pytest.mark.parametrize("pattern", ["(a+)+$", "(?:[ab]*a[ab]{40})x"])
def test_a_flood_made_against_the_pattern_holds_nobody_up(tmp_path: Path, pattern: str) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW)
        session = box.run("./evil", tty=False)
        for _ in range(4):
            box.writes(session, b"abbab" * 3000 + b"\n" + b"aab\n" * 10_000)
        begun = time.process_time()
        await watch.look(NOW + 1)
        assert time.process_time() - begun < 2
        assert box.raised == []

    run(tmp_path, [{"name": "evil", "when": f"output ~ '{pattern}'"}], case)


def test_a_command_that_is_not_there_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def case(box: Alerted, watch: AlertWatch) -> None:
        await watch.look(NOW)
        assert box.raised == ["runs"]

    run(tmp_path, [{"name": "runs", "when": "state == 'running'", "command": ["/nowhere"]}], case)
    assert "cannot be run" in caplog.text
