"""How an end that is not known, or of which something is missing, is told: never as success."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandtop.core.client.session.ending import outcome
from sandtop.core.errors import MachineError
from sandtop.core.sessions import SessionExit

if TYPE_CHECKING:
    from collections.abc import Mapping


def result(record: SessionExit) -> Mapping[str, object]:
    return {"record": record.to_json(), "session": {"exit_code": record.exit_status}}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            SessionExit("exited", code=0, stdout=3, missing=4),
            "4 bytes of output that the agent of box spoke of",
        ),
        (
            SessionExit("unknown", message="it makes no sense", source="core"),
            "box ended is not known: it makes",
        ),
        (
            SessionExit("vm-died", message="a panic", source="core", missing=4),
            "before the program did: a panic",
        ),
    ],
)
def test_an_end_that_cannot_be_true_is_an_error(record: SessionExit, said: str) -> None:
    with pytest.raises(MachineError, match=said) as caught:
        outcome(result(record), "box")
    assert caught.value.exit_status == record.exit_status == 125
    assert caught.value.sandbox == "box"
    assert "box" in str(caught.value.hint)


def test_an_end_of_which_all_came_is_its_status() -> None:
    assert outcome(result(SessionExit("exited", code=7, stdout=3)), "box") == 7
