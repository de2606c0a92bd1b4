"""When a client waits, starts a core, gives up."""

from __future__ import annotations

import pytest

from sandtop.core.client.link.recovery import DEADLINE_SECONDS, SUPERVISOR_SECONDS, Recovery
from sandtop.core.errors import CoreOutdated, CoreUnavailable


def test_the_first_to_come_starts_the_core_at_once() -> None:
    assert Recovery().refused(100.0, FileNotFoundError()) is None


def test_a_core_that_died_is_left_to_its_supervisor_first() -> None:
    recovery = Recovery()
    assert recovery.broke(100.0) > 0
    assert recovery.refused(100.1, FileNotFoundError()) is not None
    assert recovery.refused(100.0 + SUPERVISOR_SECONDS, FileNotFoundError()) is None


def test_delays_grow_and_stay_short() -> None:
    recovery = Recovery()
    delays = [recovery.broke(100.0 + n) for n in range(10)]
    assert delays == sorted(delays)
    assert 0 < delays[0] < 0.1 < delays[-1] <= 1


def test_it_gives_up_after_the_deadline() -> None:
    recovery = Recovery()
    recovery.broke(100.0)
    recovery.broke(100.0 + DEADLINE_SECONDS - 1)
    with pytest.raises(CoreUnavailable):
        recovery.broke(100.0 + DEADLINE_SECONDS)


def test_progress_begins_anew() -> None:
    recovery = Recovery()
    recovery.broke(100.0)
    recovery.progressed()
    assert recovery.broke(100.0 + DEADLINE_SECONDS) < 0.1


def test_a_core_is_replaced_once() -> None:
    recovery = Recovery()
    recovery.outdated(CoreOutdated("old"))
    with pytest.raises(CoreUnavailable, match="older"):
        recovery.outdated(CoreOutdated("old"))
