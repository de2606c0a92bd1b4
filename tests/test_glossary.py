"""The glossary in docs/architecture.md: what it names is there, in the file that it names."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
SECTION = PAGE.partition("\n## Glossary\n")[2].partition("\n## ")[0]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in SECTION.splitlines()
    if line.startswith("| ") and not line.startswith("| term |")
]


def test_each_term_stands_once_and_in_its_place() -> None:
    assert len(ROWS) > 50
    for (one, *_), (other, *_) in pairwise(ROWS):
        assert one.casefold() < other.casefold()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_term_names_is_there(row: tuple[str, ...]) -> None:
    term, meaning, where = row
    assert term
    assert meaning.endswith(".")
    places = re.findall(r"`([^`]*)`", where)
    assert places
    for place in places:
        path, _, name = place.partition(": ")
        assert (ROOT / path).exists()
        if name:
            text = (ROOT / path).read_text()
            assert re.search(rf"^(class|def|async def) {name}\b|^{name}\b.* = ", text, re.MULTILINE), name
