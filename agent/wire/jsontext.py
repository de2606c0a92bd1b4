"""JSON as the standard library's `json` has it, which is not imported as long as all goes well.

``to_json(value)`` is the text without spaces and in ASCII, ``from_json(text)`` the value.

`json` compiles regular expressions, and with `re` come a dozen modules: 8 ms for each command of a person or a script,
and more in an emulated guest. Its scanner and its encoder are C, in `_json`, and do all that a well-formed message
needs. Whatever they refuse goes to `json`, so that it means, or raises, what it always did.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

_COMMA: Final = ","
_COLON: Final = ":"


def _json_encode(value: object) -> str:
    import json

    return json.JSONEncoder(separators=(_COMMA, _COLON)).encode(value)


def _json_decode(text: str) -> object:
    import json

    return json.JSONDecoder().decode(text)


class _Settings:
    """Those of `json.JSONDecoder` when nothing is asked for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _accelerated() -> tuple[Callable[[object], str], Callable[[str], object]]:
    """``to_json`` and ``from_json``. Raises when this Python's `_json` is not there, or is made in another way."""
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    # without a dict of what it is inside of, it holds no state and can be kept; a circle is `json`'s to find
    chunks = make_encoder(None, _refuse, encode_basestring_ascii, None, _COLON, _COMMA, False, False, True)
    settings: Any = _Settings
    scan = make_scanner(settings)

    def encode(value: object) -> str:
        try:
            return "".join(chunks(value, 0))
        except (TypeError, ValueError, RecursionError):
            return _json_encode(value)

    def decode(text: str) -> object:
        try:
            value, end = scan(text, 0)
        # Python 3.11 takes JSONDecodeError from sys.modules and, when `json` is not there, has no error to raise
        except (StopIteration, ValueError, RecursionError, SystemError):
            return _json_decode(text)
        return value if end == len(text) else _json_decode(text)

    return encode, decode


try:
    to_json, from_json = _accelerated()
except (ImportError, AttributeError, TypeError):
    to_json, from_json = _json_encode, _json_decode
