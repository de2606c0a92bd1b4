"""RE2 as the type checkers see it: the parts that we use, with their types.

The package ``google-re2`` ships no ``py.typed``, so strict checkers read its names as unknown. This module is the one
place that imports it; for the checkers it declares what we use, at run time it is the package itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:

    class Options:
        """See re2.h."""

        max_mem: int
        log_errors: bool
        never_capture: bool
        dot_nl: bool

    class Compiled:
        """A pattern."""

        def search(self, text: bytes) -> object | None: ...

    class Error(Exception):
        """What is wrong with a pattern: its one argument, in UTF-8."""

    def compile(pattern: bytes, options: Options) -> Compiled:
        """Raises `Error`."""
        ...

else:
    from re2 import Options, compile
    from re2 import _Regexp as Compiled
    from re2 import error as Error

__all__ = ["Compiled", "Error", "Options", "compile"]
