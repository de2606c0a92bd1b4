"""docs/protocol.md says what the contract says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandtop.core.contract import operations, session_events
from sandtop.core.contract.codec import result_of
from sandtop.core.contract.image import ImageInfo
from sandtop.core.contract.record import QUIET_SECONDS, SLOW_SECONDS, Event
from sandtop.core.contract.sandbox import SandboxInfo
from sandtop.core.contract.session_results import ExitRecord, Screen, SessionInfo

from .rows import completed, manners_of

if TYPE_CHECKING:
    from sandtop.core.contract.record import Record, Request

TEXT = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
ROW = re.compile(r"^\| `(\w+\.\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.M)
ROWS = {op: [column.strip() for column in columns] for op, *columns in ROW.findall(TEXT)}


def names(text: str) -> list[str]:
    """What stands in backticks before any semicolon, but for what is in brackets."""
    return re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", text).partition(";")[0])


def test_every_operation_has_a_row() -> None:
    assert sorted(ROWS) == sorted(operations()), "run 'just generate'"


@pytest.mark.parametrize("kind", operations().values(), ids=list(operations()))
def test_a_row_says_what_the_operation_takes_and_gives(kind: type[Request[Any]]) -> None:
    manners, fields, result = ROWS[kind.op]
    assert manners == manners_of(kind)
    assert sorted(names(fields)) == sorted(kind.fields.keys() - {"request_id"})
    assert names(result) == list(result_of(kind).fields)


@pytest.mark.parametrize("kind", operations().values(), ids=list(operations()))
def test_a_row_that_is_missing_is_made(kind: type[Request[Any]]) -> None:
    begun = TEXT.index(f"| `{kind.op}` |")
    text = completed(TEXT[:begun] + TEXT[TEXT.index("\n", begun) + 1 :])
    made = {op: [column.strip() for column in columns] for op, *columns in ROW.findall(text)}
    assert made.keys() == ROWS.keys()
    manners, fields, result = made[kind.op]
    assert (manners, names(fields)) == (manners_of(kind), [one for one in kind.fields if one != "request_id"])
    assert names(result) == list(result_of(kind).fields)
    assert completed(text) == text


@pytest.mark.parametrize(
    ("what", "kind"),
    [("sandbox", SandboxInfo), ("session", SessionInfo), ("image", ImageInfo), ("screen", Screen)],
)
def test_an_object_has_these_fields(what: str, kind: type[Record]) -> None:
    found = re.search(rf"\*\*{what}\*\* object:\s`([\w ]+)`", TEXT)
    assert found is not None
    assert found[1].split() == list(kind.fields)


def test_an_exit_record_has_these_fields() -> None:
    begin = TEXT.index("An exit record: ")
    assert set(ExitRecord.fields) <= set(re.findall(r"`(\w+)`", TEXT[begin : TEXT.index("\n\n", begin)]))


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(session_events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind.kind
    ],
)
def test_an_event_has_these_fields(kind: type[Event]) -> None:
    section = TEXT[TEXT.index("### Following a session") :]
    told = re.search(rf"control\s`{kind.kind}`(.*)", section) or re.search(rf"and `{kind.kind}`(.*)", section)
    assert told is not None
    for name in kind.fields:
        assert f"`{name.removesuffix('_')}`" in section, name


def test_how_patient_a_client_is() -> None:
    assert (
        f"a client waits {SLOW_SECONDS:.0f} s for the core's next word on it, else {QUIET_SECONDS:.0f}"
        in TEXT
    )
