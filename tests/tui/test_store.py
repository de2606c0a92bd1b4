"""The store: what changed between two looks, who needs somebody, what a filter means, what is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeSession, Raw, described, ended, sandbox, session
from tests.fakecore.state import made

from sandtop.core.client.sdk import HostStats, Sample, SandboxHistory, SandboxInfo, SandboxStats, SessionInfo
from sandtop.core.contract.codec import decode_result
from sandtop.tui.store import FleetView, Store, parse_filter

if TYPE_CHECKING:
    from sandtop.tui.store.model import Urgency


def look(store: Store, *sandboxes: Raw, sessions: tuple[FakeSession, ...] = (), at: float = NOW) -> FleetView:
    boxes = [described(one, sessions, at) for one in sandboxes]
    listed = [decode_result(SessionInfo, one.listed()) for one in sessions]
    return store.take([decode_result(SandboxInfo, one) for one in boxes], listed, at)


@pytest.fixture
def store() -> Store:
    return Store()


def urgency(view: FleetView, name: str) -> Urgency:
    return next(one.need.urgency for one in view.sandboxes if one.name == name)


def test_need_goes_by_what_is_worst(store: Store) -> None:
    boxes = [
        sandbox("failed", "failed", reason="no memory"), sandbox("lost", "lost"), sandbox("bad"),
        sandbox("asks", trouble="its agent does not answer"), sandbox("prompt"),
        sandbox("quiet", labels={"sandtop.silence": "60"}), sandbox("fine"), sandbox("still", "paused"),
        sandbox("off", "stopped"),
    ]  # fmt: skip
    asking = session("c", "prompt", "./release", tty=True, waits="leader")
    ran = (ended("a", "bad", "make", code=2), ended("b", "fine", "true"))
    view = look(store, *boxes, sessions=(*ran, asking))
    assert [one.name for one in view.troubled] == ["failed", "lost", "asks", "bad", "prompt", "quiet"]
    assert urgency(view, "fine") < urgency(view, "still") < urgency(view, "off")
    assert view.troubled[3].need.text == "exit 2: make"
    assert view.troubled[4].need.text == "waiting at a prompt: ./release"
    assert next(one for one in view.sandboxes if one.name == "prompt").sessions[0].badge == "at a prompt"


def test_an_acknowledged_failure_asks_no_more_and_the_next_one_does(store: Store) -> None:
    failed, bad = sandbox("db", "failed", reason="panic"), ended("a", "web", "make", code=1)
    view = look(store, failed, sandbox("web"), sessions=(bad,))
    assert [one.name for one in view.troubled] == ["db", "web"]
    seen = {**failed, "acknowledged": True}
    bad.raw["acknowledged"] = True
    view = look(store, seen, sandbox("web"), sessions=(bad,))
    assert view.troubled == ()
    assert view.sandboxes[1].sessions[0].failed
    assert [one.name for one in look(store, failed).troubled] == ["db"]


def test_rates_come_from_what_grew_and_the_core_says_when(store: Store) -> None:
    one = session("a", "web", "yes")
    look(store, sandbox("web"), sessions=(one,))
    one.pieces.append((NOW + 1, 1, b"x" * 1000))
    grown = look(store, sandbox("web"), sessions=(one,), at=NOW + 1).sandboxes[0].sessions[0]
    assert (grown.rate, grown.last_output) == (500.0, NOW + 1)
    still = look(store, sandbox("web"), sessions=(one,), at=NOW + 2).sandboxes[0].sessions[0]
    assert (still.rate, still.last_output) == (0.0, NOW + 1)


def test_a_kind_of_a_newer_core_is_something_to_look_at(store: Store) -> None:
    raw = {**described(sandbox("web"), ()), "attention": "on fire", "attention_kind": "fire"}
    (seen,) = store.take([decode_result(SandboxInfo, raw)], [], NOW).troubled
    assert (seen.need.text, seen.need.wants_someone) == ("on fire", True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["web-1", "web-2", "db"]), ("web", ["web-1", "web-2"]), ("!web", ["db"]), ("web !2", ["web-1"]),
        ("state:failed", ["db"]), ("!state:failed", ["web-1", "web-2"]), ("label:team=a", ["web-1"]),
        ("label:team", ["web-1", "web-2"]), ("image:py", ["web-2"]), ("need:", ["db"]), ("panic", ["db"]),
        ("name:db", ["db"]), ("state:", ["web-1", "web-2", "db"]), ("TEAM=B", ["web-2"]), ("nothing", []),
        ("!", ["web-1", "web-2", "db"]), ("a:b:c", []),
    ],
)  # fmt: skip
def test_filters(store: Store, text: str, found: list[str]) -> None:
    view = look(
        store,
        sandbox("web-1", labels={"team": "a"}),
        sandbox("web-2", labels={"team": "b"}, image="python"),
        sandbox("db", "failed", reason="panic"),
    )
    wanted = parse_filter(text)
    assert [one.name for one in view.sandboxes if wanted.matches(one)] == found


def stats_of(uuid: str, cpu: float) -> SandboxStats:
    fields = {"sandbox": "web", "state": "running", "cpus": 1, "memory_limit": 100, "disk_size": 100}
    return made(SandboxStats, {"uuid": uuid, "cpu": cpu, "memory": 25, **fields})


def sample_at(at: float, *stats: SandboxStats) -> Sample:
    host = HostStats(
        cpu=50.0, cpus=2, load=0.5, memory=1, memory_total=2, sandboxes={"running": 1}, sessions=1
    )
    return Sample(at=at, host=host, sandboxes=list(stats))


def test_what_is_used_comes_from_the_core(store: Store) -> None:
    view = look(store, sandbox("web"))
    assert (view.sandboxes[0].cpu, view.sandboxes[0].memory_percent, view.host.stats) == (None, None, None)
    uuid, none = view.sandboxes[0].uuid, [None, None]
    store.usages.take_history(
        SandboxHistory(
            sandbox="web", uuid=uuid, step=30.0, at=[NOW - 60, NOW - 30], cpu=[10.0, None], memory=[*none],
            disk=[*none], processes=[*none], sessions=[*none], output_rate=[*none],
        )
    )  # fmt: skip
    store.usages.take_sample(sample_at(NOW, stats_of(uuid, 40.0)))
    store.usages.take_sample(sample_at(NOW + 2, stats_of(uuid, 60.0)))
    one = store.measured().sandboxes[0]
    assert (one.cpu, one.memory_percent, one.usage.line) == (60.0, 25.0, (10.0, 0.0, 50.0))
    store.usages.take_sample(sample_at(NOW + 31, stats_of(uuid, 80.0)))
    assert store.measured().sandboxes[0].usage.line == (10.0, 0.0, 50.0, 80.0)
    store.usages.take_sample(sample_at(NOW + 33))
    view = store.measured()
    assert (view.sandboxes[0].cpu, view.host.line) == (None, (50.0, 50.0))


def test_a_sample_before_the_first_answer_is_no_answer(store: Store) -> None:
    store.usages.take_sample(sample_at(NOW, stats_of("1", 40.0)))
    assert store.measured().version == 0
    assert look(store, sandbox("web")).host.stats is not None


def test_a_line_is_of_ten_minutes(store: Store) -> None:
    uuid = look(store, sandbox("web")).sandboxes[0].uuid
    for number in range(100):
        store.usages.take_sample(sample_at(NOW + 30 * number, stats_of(uuid, float(number))))
    assert store.measured().sandboxes[0].usage.line == tuple(float(number) for number in range(80, 100))
