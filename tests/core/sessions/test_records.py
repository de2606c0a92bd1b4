"""Exit records from an agent that a guest's root may have replaced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtop.agent.wire import ProtocolError
from sandtop.core.sessions import SessionExit, printable, spawn_message

WHOLE: dict[str, object] = {
    "reason": "exited", "code": 3, "stdout": 10, "stderr": 0, "duration_ms": 5, "cpu_us": 1, "memory_peak": None,
}  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*SessionExit.__slots__, "other"]), json_values))
def test_nonsense_is_a_protocol_error_and_nothing_else(changes: dict[str, object]) -> None:
    try:
        record = SessionExit.from_agent({**WHOLE, **changes})
    except ProtocolError:
        return
    assert record.source == "agent"
    assert 0 <= record.exit_status <= 255
    assert SessionExit.from_json(record.to_json()) == record
    assert (record.message or "").isprintable()


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "vm-died"},  # only the core can know that
        {"reason": ["exited"]},
        {"code": None},  # an end without a code must never look like success
        {"code": -1},
        {"code": True},
        {"code": 256},
        {"reason": "signaled"},
        {"reason": "spawn"},
        {"stdout": -1},
        {"stdout": 1 << 64},
        {"stderr": 1.5},
        {"message": 5},
    ],
)
def test_what_an_agent_cannot_say(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        SessionExit.from_agent({**WHOLE, **changes})


def test_an_agent_cannot_speak_for_the_core() -> None:
    assert SessionExit.from_agent({**WHOLE, "source": "core"}).source == "agent"


@pytest.mark.parametrize(
    ("record", "status", "state"),
    [
        (SessionExit("exited", code=7), 7, "exited"),
        (SessionExit("signaled", signal=9), 137, "exited"),
        (SessionExit("timeout", signal=9), 124, "exited"),
        (SessionExit("oom", signal=9), 137, "exited"),
        (SessionExit("spawn", stage="exec", errno=2), 127, "failed"),
        (SessionExit("spawn", stage="exec", errno=13), 126, "failed"),
        (SessionExit("spawn", stage="cwd", errno=2), 125, "failed"),
        (SessionExit("vm-died", source="core"), 125, "lost"),
    ],
)
def test_the_exit_status_and_state_of_an_end(record: SessionExit, status: int, state: str) -> None:
    assert (record.exit_status, record.state) == (status, state)


def test_a_record_of_a_newer_version_is_read() -> None:
    assert SessionExit.from_json({"reason": "frozen", "new_field": 1}).exit_status == 125


def test_a_guests_words_cannot_move_the_operators_cursor() -> None:
    said = printable("gone\x1b[2J\r\nroot@host# \x9b31m" + "x" * 10_000)
    assert said.isprintable()
    assert len(said) == 500


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (SessionExit("spawn", stage="exec", errno=2), "nosuch: not found"),
        (SessionExit("spawn", stage="exec", errno=13), "nosuch: cannot be executed: Permission denied"),
        (
            SessionExit("spawn", stage="cwd", errno=2),
            "the working directory /nowhere cannot be used: No such file or directory",
        ),
        (SessionExit("spawn", stage="user", message="there is no user x"), "there is no user x"),
        (SessionExit("spawn", stage="rlimits"), "nosuch: could not be started (rlimits): unknown reason"),
    ],
)
def test_why_a_program_never_ran(record: SessionExit, said: str) -> None:
    assert spawn_message(record, ["nosuch"], "/nowhere") == said
