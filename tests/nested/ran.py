"""A plugin of pytest that keeps what ran in the file ``$RAN``, a test a line, as each ends.

pytest's own results are written when all is over, and the outer machine may not live so long: see `tests.nested.run`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True, slots=True)
class Ran:
    """One test that ended.

    Attributes:
        name: pytest's node id.
        outcome: passed, failed or skipped.
        seconds: its call's and its fixtures' together.
        why: of one that was skipped, or failed.
    """

    name: str
    outcome: str
    seconds: float
    why: str = ""


def read(path: Path) -> list[Ran]:
    """The tests that ended so far, none where the file is not there."""
    return [Ran(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


_begun: dict[str, tuple[str, float, str]] = {}
"""By test, until its teardown: the worst outcome, the seconds, and why it was skipped or failed."""
_MOST: Final = 4000
"""Characters kept of why a test failed: the last ones."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # the controller hears of every test
        return
    outcome, seconds, why = _begun.pop(report.nodeid, ("passed", 0.0, ""))
    if report.outcome != "passed":
        outcome = report.outcome
    if report.skipped and isinstance(report.longrepr, tuple):
        why = str(report.longrepr[2])
    elif report.failed:
        why = report.longreprtext[-_MOST:]
    seconds += report.duration
    if report.when != "teardown":
        _begun[report.nodeid] = outcome, seconds, why
        return
    with Path(os.environ["RAN"]).open("a") as file:
        file.write(f"{json.dumps(asdict(Ran(report.nodeid, outcome, round(seconds, 2), why)))}\n")
