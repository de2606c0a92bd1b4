"""Secrets of a sandbox, as people write them."""

from __future__ import annotations

import os

from sandtop.core.contract.secret import GivenSecret
from sandtop.core.errors import InvalidRequest

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from typing import Final

_HINT: Final = "such as API=env:TOKEN@api.example.com or API=file:token.txt@api.example.com"
read_from: Final = set[str]()
"""The variables that values were read from: a core that this process starts does not get them."""


def secret(text: str) -> GivenSecret:
    """``NAME=env:VARIABLE@HOST[:PORT]`` or ``NAME=file:PATH@HOST[:PORT]``.

    The value of a variable is that of this process; a path may be relative. Raises `InvalidRequest`, which does not
    show what is behind the ``=``: it may be a value, by mistake.
    """
    name, equals, rest = text.partition("=")
    source, at, host = rest.rpartition("@")
    kind, colon, where = source.partition(":")
    if not (equals and name and at and host and colon and where) or kind not in ("env", "file"):
        raise InvalidRequest(
            f"the secret {name[:80]!r} does not say where its value is, and for whom", hint=_HINT
        )
    if kind == "file":
        return GivenSecret(name=name, host=host, file=os.path.abspath(os.path.expanduser(where)))
    value = os.environ.get(where)
    if value is None:
        raise InvalidRequest(
            f"the secret {name} is in the variable {where[:80]}, which is not set", hint=_HINT
        )
    read_from.add(where)
    return GivenSecret(name=name, host=host, value=value)
