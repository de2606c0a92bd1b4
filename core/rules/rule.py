"""Alert rules as ``config.toml`` has them, checked, with errors that name the rule and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from .expression import Expression, ExpressionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_RULES: Final = 50
_NOTIFY: Final = ("none", "bell", "osc9")
_FIELDS: Final = ("name", "when", "notify", "command")
_MAX_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """When somebody should look at a sandbox.

    Attributes:
        name: what it is called where it is raised.
        when: holds when it is raised.
        notify: how a console says so beside showing it: ``none``, ``bell``, or ``osc9`` (a notification of the
            terminal; iTerm2's sequence, which many take).
        command: what the core runs when it is raised; empty for nothing.
    """

    name: str
    when: Expression
    notify: str = "none"
    command: tuple[str, ...] = ()


def parse_rules(data: object) -> tuple[Rule, ...]:
    """The rules in ``data``, the array of tables ``alerts``. Raises ValueError, which names the rule."""
    items = cast("list[object]", data) if isinstance(data, list) else None
    if items is None or not all(isinstance(item, dict) for item in items):
        raise ValueError("alerts must be tables: [[alerts]] before each")
    if len(items) > MAX_RULES:
        raise ValueError(f"alerts: there are {len(items)}, and at most {MAX_RULES} are taken")
    rules = [_rule(number, cast("Mapping[str, object]", item)) for number, item in enumerate(items, 1)]
    names = [rule.name for rule in rules]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"alerts: two are named {twice!r}")
    return tuple(rules)


def _rule(number: int, item: Mapping[str, object]) -> Rule:
    name = item.get("name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > _MAX_NAME:
        raise ValueError(f"alert {number}: name must be a text of 1 to {_MAX_NAME} printable characters")
    what = f"alert {name!r}"
    if unknown := next((key for key in item if key not in _FIELDS), None):
        raise ValueError(f"{what}: there is no setting {unknown} (known: {', '.join(_FIELDS)})")
    when, notify, command = item.get("when"), item.get("notify", "none"), item.get("command", [])
    if not isinstance(when, str):
        raise ValueError(f"{what}: when must be an expression in a text, such as 'silence > 10m'")
    if notify not in _NOTIFY:
        raise ValueError(f"{what}: notify must be one of {', '.join(_NOTIFY)}, not {notify!r:.40}")
    words = cast("Sequence[object]", command) if isinstance(command, list) else None
    if words is None or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise ValueError(f"{what}: command must be a list of texts, the program first")
    try:
        return Rule(name, Expression(when), str(notify), tuple(str(word) for word in words))
    except ExpressionError as error:
        raise ValueError(f"{what}: when: {error}") from None
