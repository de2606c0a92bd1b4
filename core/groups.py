"""Exceptions out of nurseries, for callers who think in single ones."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def unwrapped() -> Generator[None]:
    """What is raised inside as a group of exceptions comes out as the first of them."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise _leaf(group) from None


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    if isinstance(inner, BaseExceptionGroup):
        return _leaf(cast("BaseExceptionGroup[BaseException]", inner))
    return inner
