"""What a .dockerignore keeps out."""

from __future__ import annotations

import pytest

from sandtop.core.dockerfile import Ignore
from sandtop.core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("rules", "hidden", "shown"),
    [
        ("*.log", ["a.log"], ["sub/a.log", "a.logs"]),
        ("**/*.log", ["a.log", "a/b/c.log"], ["a.txt"]),
        ("/build\n# comment\n\n./out/", ["build", "build/x/y", "out/z"], ["sub/build"]),
        ("*\n!src\nsrc/*.pyc", ["a", "src/a.pyc"], ["src", "src/a.py", "src/sub/a.pyc"]),
        ("a?c\n[x-z]1\n[^a]2", ["abc", "y1", "b2"], ["a/c", "w1", "a2"]),
        ("**/node_modules", ["node_modules/a", "x/y/node_modules/b/c"], ["node_modules2"]),
        (r"\*.md", ["*.md"], ["a.md"]),
        ("a/**/b", ["a/b", "a/x/y/b"], ["a/bc"]),
    ],
)
def test_rules(rules: str, hidden: list[str], shown: list[str]) -> None:
    ignore = Ignore(rules)
    assert [path for path in hidden if not ignore.hides(path)] == []
    assert [path for path in shown if ignore.hides(path)] == []


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(InvalidRequest, match="line 2"):
        Ignore("a\n[b")
