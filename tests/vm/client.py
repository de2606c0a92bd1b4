"""A client in the tests' own process, for what is looked at again and again: a command costs a Python each time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def client_of(home: Path) -> Generator[None]:
    """Calls in this process go to the core of ``home``, and start one where there is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDTOP_HOME", str(home))
        yield
