"""What the core answers, as the contract's records."""

from __future__ import annotations

from sandtop.core.contract.codec import decode_result, result_of
from sandtop.core.errors import CoreFailure

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from sandtop.core.contract.record import Record, Request

    R = TypeVar("R", bound=Record)


def answer(request: Request[R], result: Mapping[str, object] | None) -> R:
    """``result``, the fields of the core's last word on ``request``. Raises `CoreFailure` when it makes no sense."""
    if result is None:
        raise CoreFailure("the core's answer lacks what was asked for", hint="see its log")
    return decode_result(result_of(type(request)), result)
