"""Alert rules: what expressions mean, and what is said of those that are wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sandtop.core.rules import Expression, parse_rules
from sandtop.core.rules.expression import ExpressionError

if TYPE_CHECKING:
    from sandtop.core.rules.pattern import Pattern

KNOWN = {
    "exit": 137, "silence": 601.0, "rate": 0.0, "memory": 0.91, "uptime": None, "sessions": 2, "state": "running",
    "name": "web-1", "image": "base", "command": "./worker --all", "cause": None, "label.team": "a",
}  # fmt: skip
OUTPUT = ["cp: No space left on device", "done"]


def reads(pattern: Pattern) -> bool:
    return any(pattern.found_in(line) for line in OUTPUT)


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("exit == 137", True),
        ("exit != 137", False),
        ("silence > 10m", True),
        ("silence > 0.2h", False),
        ("memory >= 90%", True),
        ("memory > 0.92", False),
        ("rate < 1K and sessions > 0", True),
        ("state == 'running'", True),
        ('state != "running"', False),
        ("name ~ '^web-'", True),
        ("name !~ '^web-'", False),
        ("label.team == 'a' and (exit == 1 or exit == 137)", True),
        ("label.team == 'a' and exit == 1 or sessions == 2", True),
        ("not exit == 137 or not not sessions == 2", True),
        ("label.other == 'a'", False),
        ("label.other != 'a'", False),
        ("uptime > 0 or uptime <= 0", False),
        ("cause ~ '.'", False),
        ("output ~ 'No space'", True),
        ("output !~ 'No space'", False),
        ("output ~ '(?i)DONE$'", True),
    ],
)
def test_what_an_expression_means(text: str, so: bool) -> None:
    assert Expression(text).holds(KNOWN, reads) is so


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it ends too early: the name of a value is missing"),
        ("exit", "it ends too early: after exit a comparison is missing"),
        ("exits == 1", "there is no such value (known: exit, silence"),
        ("exit = 1", "a comparison is missing: one of == != < <= > >= ~ !~: '=', at character 6"),
        ("exit == 'x'", "a number is missing: \"'x'\", at character 9"),
        ("exit == 3 parsecs", "'and' or 'or' is missing before it: 'parsecs', at character 11"),
        ("silence > 3y", "one of the units s m h d % K M G"),
        ("exit ~ 'x'", "exit is a number, and ~ is for texts"),
        ("name > 3", "name is a text, and > is for numbers"),
        ("name == web", "a text in quotes is missing"),
        ("output == 'x'", "of output only ~ and !~ can be asked"),
        ("(exit == 1", "a ) is missing"),
        ("exit == 1)", "'and' or 'or' is missing before it: ')'"),
        ("name ~ '('", "RE2 does not take the pattern '(': missing ): ("),
        ("name ~ 'x", "a text in quotes is missing"),
        ("exit == 1 or " * 100, "longer than 1000"),
    ],
)
def test_what_is_wrong_with_an_expression(text: str, said: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(said)):
        Expression(text)


def test_rules() -> None:
    (first, second) = parse_rules(
        [
            {"name": "quiet", "when": "silence > 10m"},
            {"name": "disk", "when": "output ~ 'No space'", "notify": "osc9", "command": ["logger", "x"]},
        ]
    )
    assert (first.name, first.notify, first.command, first.when.reads_output) == ("quiet", "none", (), False)
    assert (second.notify, second.command, second.when.reads_output) == ("osc9", ("logger", "x"), True)
    assert parse_rules([]) == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"name": "x"}, "alerts must be tables"),
        (["x"], "alerts must be tables"),
        ([{"when": "exit == 1"}], "alert 1: name must be"),
        ([{"name": "a\n", "when": "exit == 1"}], "alert 1: name must be"),
        ([{"name": "a"}], "alert 'a': when must be an expression"),
        (
            [{"name": "a", "when": "exit == 1", "if": 1}],
            "alert 'a': there is no setting if (known: name, when",
        ),
        (
            [{"name": "a", "when": "exit == 1", "notify": "mail"}],
            "alert 'a': notify must be one of none, bell, osc9",
        ),
        ([{"name": "a", "when": "exit == 1", "command": "x"}], "alert 'a': command must be a list"),
        ([{"name": "a", "when": "exit ="}], "alert 'a': when: after exit a comparison is missing"),
        ([{"name": "a", "when": "exit == 1"}] * 2, "two are named 'a'"),
        ([{"name": str(n), "when": "exit == 1"} for n in range(51)], "at most 50"),
    ],
)
def test_what_is_wrong_with_a_rule(data: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_rules(data)
