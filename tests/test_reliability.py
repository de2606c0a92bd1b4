"""docs/reliability.md names a test for each fault: each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and "|---" not in line]
FAULTS = [row for row in ROWS if not row.startswith("| what was tried ")]


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.split(" | ")[0][2:50])
def test_what_is_named_is_there(row: str) -> None:
    tried, happens, shown = (cell.strip() for cell in row.strip("|").split(" | "))
    assert tried
    assert happens
    names = re.findall(r"`([^`]*)`", shown)
    assert any(name.startswith("tests/") for name in names)
    for name in names:
        if name.startswith("just fuzz "):
            assert (ROOT / "tests" / "fuzz" / "targets" / f"{name.split()[2]}.py").is_file()
            continue
        file, _, test = name.partition("::")
        text = (ROOT / file).read_text()
        assert "def test_" in text
        assert not test or re.search(rf"^\s*(async )?def {test}\(", text, re.MULTILINE)
