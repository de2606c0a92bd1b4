"""What the console has to say, and for how long."""

from __future__ import annotations

from sandtop.tui.notices import DONE_SECONDS, Notices


def shown(notices: Notices, now: float) -> str | None:
    current = notices.current(now)
    return current[0].text if current else None


def test_errors_go_first_and_stay_until_they_are_read_or_settled() -> None:
    notices = Notices()
    notices.error("first", 0)
    second = notices.error("second", 1)
    notices.note("by the way", 1)
    assert notices.current(1000) == (notices.error("first", 1000), 1), "not said twice"
    assert notices.dismiss()
    assert shown(notices, 1000) == "second"
    notices.settle(second)
    assert shown(notices, 1000) is None
    assert not notices.dismiss()


def test_what_goes_away_by_itself_does_so_under_an_error_too() -> None:
    notices = Notices()
    notices.error("no", 0)
    for number in range(1000):
        notices.done(f"done {number}", number)
    notices.dismiss()
    assert shown(notices, 999) == "done 999"
    assert shown(notices, 999 + DONE_SECONDS) is None


def test_what_goes_on_hides_what_came_out() -> None:
    notices = Notices()
    going = notices.progress("stopping", 0)
    notices.done("started", 0)
    assert shown(notices, 1) == "stopping"
    notices.settle(going)
    assert shown(notices, 1) == "started"
