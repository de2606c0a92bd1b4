"""The store: what changed between two looks, who needs somebody, what a filter means, what /proc says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.fakecore import NOW, FakeSession, Raw, described, ended, sandbox, session

from sandtop.core.client.sdk import SandboxInfo, SessionInfo
from sandtop.core.contract.codec import decode_result
from sandtop.tui.store import FleetView, ProcessUsage, Store, parse_filter

if TYPE_CHECKING:
    from pathlib import Path

    from sandtop.tui.store.model import Urgency


def look(store: Store, *sandboxes: Raw, sessions: tuple[FakeSession, ...] = (), at: float = NOW) -> FleetView:
    boxes = [described(one, sessions, at) for one in sandboxes]
    listed = [decode_result(SessionInfo, one.listed()) for one in sessions]
    return store.take([decode_result(SandboxInfo, one) for one in boxes], listed, at)


@pytest.fixture
def store() -> Store:
    return Store(ProcessUsage("/nowhere"))


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


def write_stat(proc: Path, pid: int, ticks: int, pages: int) -> None:
    (proc / str(pid)).mkdir(exist_ok=True)
    fields = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 8, str(pages), "0"]
    (proc / str(pid) / "stat").write_text(f"{pid} (a ) name) {' '.join(fields)}\n")


def test_processor_and_memory_come_from_proc(tmp_path: Path) -> None:
    usage = ProcessUsage(str(tmp_path))
    write_stat(tmp_path, 7, 100, 1000)
    assert usage.sample({7, 8}, 10.0)[7].cpu == ()
    write_stat(tmp_path, 7, 150, 2000)
    sampled = usage.sample({7}, 11.0)
    assert sampled[7].cpu == (50.0,)
    assert sampled[7].memory == (1000 * 4096.0, 2000 * 4096.0)
    assert 8 not in sampled
