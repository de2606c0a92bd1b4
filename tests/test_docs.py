"""The documents lead where they say: each link to a file or a heading of ours is there, each decision in the list."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = ROOT / "docs" / "decisions"


def anchors(page: Path) -> set[str]:
    """What a ``#`` link can name in ``page``, as GitHub makes it of the headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / unquote(path)).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_each_decision_is_in_the_list_and_short() -> None:
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    listed = dict(
        re.findall(r"^\| \[(\d{4})\]\(([^)]+)\)", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    )
    assert list(listed.values()) == files
    assert [*listed] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for name in files:
        lines = (DECISIONS / name).read_text().splitlines()
        assert lines[0].startswith(f"# {name[:4]}: ")
        assert len(lines) <= 40


def test_the_files_that_the_recipes_name_are_there() -> None:
    spans: list[str] = re.findall(r"`([^`\n]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    rooms = ("agent/", "core/", "tui/", "tests/", "docs/", "src/")
    named = {span for span in spans if span.startswith(rooms) and "NAME" not in span}
    assert len(named) > 20
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
