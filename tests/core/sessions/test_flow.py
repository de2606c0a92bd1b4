"""How far the agent may read a terminal's output, and who says so."""

from __future__ import annotations

from sandtop.core.sessions.flow import AHEAD, REPORT, SILENCE, FlowControl

FAR = 1 << 40


def test_the_slower_of_two_sets_it() -> None:
    flow = FlowControl()
    assert flow.limit(0, FAR, 0.0) == FAR
    flow.reached("worker", 1000, 0.0)
    assert flow.limit(REPORT * 2, FAR, 0.0) == 1000 + AHEAD["worker"]
    flow.reached("holder", 2000, 0.0)
    assert flow.limit(REPORT * 2, FAR, 0.0) == 2000 + AHEAD["holder"]
    flow.gone("holder")
    assert flow.limit(REPORT * 2, FAR, 0.0) == 1000 + AHEAD["worker"]


def test_it_never_falls_behind_what_is_stored() -> None:
    flow = FlowControl()
    flow.reached("holder", 0, 0.0)
    assert flow.limit(FAR, FAR + 1, 0.0) == FAR


def test_silence_ends_it_and_a_word_begins_it_again() -> None:
    flow = FlowControl()
    flow.reached("holder", 0, 10.0)
    end = AHEAD["holder"]
    assert flow.limit(end, FAR, 10.0 + SILENCE - 0.1) == end
    assert flow.holds_back(end, FAR, 10.0 + SILENCE - 0.1) == 10.0 + SILENCE
    assert flow.limit(end, FAR, 10.0 + SILENCE) == FAR
    assert flow.holds_back(end, FAR, 10.0 + SILENCE) is None
    flow.reached("holder", end, 20.0)
    assert flow.limit(end + REPORT * 2, FAR, 20.0) == end + AHEAD["holder"]


def test_who_has_nothing_to_say_is_not_silent() -> None:
    """An hour at a prompt, and then a flood: it is held back from its first byte on."""
    flow = FlowControl()
    flow.reached("holder", 500, 0.0)
    assert flow.limit(600, FAR, 3600.0) == 500 + AHEAD["holder"]
    assert flow.holds_back(600, FAR, 3600.0) is None
    assert flow.limit(500 + AHEAD["holder"], FAR, 3601.0) == 500 + AHEAD["holder"]
    assert flow.holds_back(500 + AHEAD["holder"], FAR, 3601.0) == 3600.0 + SILENCE
