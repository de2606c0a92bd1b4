"""What hostile clients put into requests: every operation and field of the contract, and odd values for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.core.contract import operations

if TYPE_CHECKING:
    import random

OPS: Final = (*sorted(operations()), "nonsense", "session", "")
FIELDS: Final = {op: tuple(kind.fields) for op, kind in operations().items()}
EVERY_FIELD: Final = tuple(sorted({name for fields in FIELDS.values() for name in fields} | {"colour"}))


def some_fields(dice: random.Random, op: str) -> dict[str, object]:
    """Fields for ``op`` with odd values: now and then one that it does not have."""
    known = FIELDS.get(op, EVERY_FIELD)
    names = dice.sample(known, dice.randrange(len(known) + 1))
    if dice.random() < 0.1:
        names.append(dice.choice(EVERY_FIELD))
    return {name: dice.choice(VALUES) for name in names}


_EMPTY: Final[tuple[list[object], list[object], dict[str, object]]] = ([], [[]], {})
VALUES: Final[tuple[object, ...]] = (
    None, True, False, 0, 1, -1, 1.5, 24, 1 << 31, 1 << 70, float("nan"), float("inf"), "", "x", "\0", "../..",
    "\udcff", [1], *_EMPTY, {"a": 1}, {"A": "b"}, {"rows": 5, "columns": 5}, "a" * 16, "box", "/", "f" * 100_000,
)  # fmt: skip
