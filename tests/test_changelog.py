"""The fragments in changelog.d become a changelog, each of them whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
FRAGMENTS = sorted((PROJECT / "changelog.d").glob("*.md"))


def draft(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9", "--dir", project],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_draft_holds_each_fragment_under_its_kind() -> None:
    done = draft(PROJECT)
    assert done.returncode == 0, done.stderr
    kinds = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^###|\Z)", done.stdout, re.MULTILINE | re.DOTALL))
    for path in FRAGMENTS:
        _, kind, _ = path.name.split(".")
        assert f"- {path.read_text().strip()}\n".replace("\n", "\n  ").rstrip() in kinds[kind.capitalize()]


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_is_one_paragraph(path: Path) -> None:
    text = path.read_text()
    assert re.fullmatch(r"[^\s#*-](.+\n)+", text), "one paragraph, without a list's dash, with an end of line"
    assert text.endswith((".\n", ")\n")), "sentences, with their full stop"
    assert max(map(len, text.splitlines())) <= 150


def test_a_file_without_a_kind_is_no_fragment(tmp_path: Path) -> None:
    (tmp_path / "changelog.d").mkdir()
    for name in ("pyproject.toml", "changelog.d/template.md.jinja", "CHANGELOG.md"):
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    (tmp_path / "changelog.d" / "something.md").write_text("Something.\n")
    done = draft(tmp_path)
    assert done.returncode != 0
    assert "something.md" in done.stderr
