"""Adds the row that a new operation lacks to the table in docs/protocol.md (`just generate`).

A row that is there stays: it may say more than the contract does, such as what a field's values mean.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandtop.core.contract import operations
from sandtop.core.contract.codec import result_of
from sandtop.core.contract.record import Change, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandtop.core.contract.record import Request

PAGE: Final = Path(__file__).parents[3] / "docs" / "protocol.md"


def manners_of(kind: type[Request[Any]]) -> str:
    """What the column "manners" says of an operation."""
    said = {
        "once": issubclass(kind, Change), "slow": kind.slow, "stream": issubclass(kind, Stream), "long": kind.long,
    }  # fmt: skip
    return ", ".join(name for name, is_so in said.items() if is_so)


def row(kind: type[Request[Any]]) -> str:
    """All that the contract says of an operation, the first sentence of its docstring too."""
    words = (kind.__doc__ or "").partition("\n")[0].strip().removesuffix(".").replace("``", "`")
    result = f"{_quoted(result_of(kind).fields)}; {words[:1].lower()}{words[1:]}"
    fields = _quoted(name for name in kind.fields if name != "request_id")
    cells = [f"`{kind.op}`", manners_of(kind), fields, result.strip()]
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def completed(text: str) -> str:
    """``text`` with a row for each operation: a new one comes after the last of its kind, or of all."""
    for op, kind in operations().items():
        if f"\n| `{op}` |" not in text:
            rows = list(re.finditer(r"^\| `(\w+)\.\w+` \|.*\n", text, re.MULTILINE))
            its = [one for one in rows if one[1] == op.partition(".")[0]]
            at = (its or rows)[-1].end()
            text = text[:at] + row(kind) + text[at:]
    return text


if __name__ == "__main__":
    PAGE.write_text(completed(PAGE.read_text()))
