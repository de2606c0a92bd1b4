"""JSON without `json`: the same text, the same values and the same complaints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandtop.agent.wire.frames import from_json, to_json

from .strategies import PATIENT

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).parents[2] / "src"

encode = json.JSONEncoder(separators=(",", ":")).encode
decode = json.JSONDecoder().decode

TEXTS = st.text() | st.text(st.characters(categories=["Cs", "Cc"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
KEYS = TEXTS | st.integers() | st.floats() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [
        *'{}[]:,"0123456789-+.eE \t\r\n\\/u\0\x1f\x7f\ufeff\ud800é😀',
        *("null", "true", "false", "NaN", "Infinity", '"a"', '"a":', '{"a":1}', "[1,"),
        *("\\ud83d", "\\ude00", "\\u00"),
    ]
)

MALFORMED = (
    *("", " ", "{", "}", '{"a"', '{"a":', '{"a":1,}', "[1,]", "[1", "nul", "1 2"),
    *('"\n"', '"\\x"', '"\\ud8"', '"'),
)


def outcome(function: Callable[[str], object] | Callable[[object], object], value: object) -> tuple[str, str]:
    """What comes of ``function(value)``, in a form in which NaN is NaN."""
    try:
        result = function(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError) as error:
        return type(error).__name__, str(error)
    return type(result).__name__, repr(result)


@PATIENT
@given(VALUES)
@example({"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": -0.0})
@example({1: 2, None: 3, False: 4, 1.5: 5, "1": 6})
@example("\ud83d\ude00\ud800\x7f")
def test_values_become_the_same_text_and_come_back(value: object) -> None:
    text = to_json(value)
    assert text == encode(value)
    assert outcome(from_json, text) == outcome(decode, text)


@PATIENT
@given(VALUES, st.data())
def test_damaged_text_means_the_same(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.none() | st.just(1)))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    text = text[:start] + data.draw(st.just("") | PIECES) + text[end:]
    assert outcome(from_json, text) == outcome(decode, text)


@PATIENT
@given(st.lists(PIECES, max_size=12).map("".join))
@example('{"a":1,"a":2,"a":[]}')
@example(' \t\r\n{"a" : [ 1 , 2 ] } \n')
@example('{"a":1} x')
@example("[NaN,Infinity,-Infinity,-NaN]")
@example("\ufeff{}")
@example("1" * 5000)
def test_any_text_means_the_same(text: str) -> None:
    assert outcome(from_json, text) == outcome(decode, text)


@pytest.mark.parametrize("depth", [100, 100_000])
@pytest.mark.parametrize("both", [("[", "]"), ('{"a":', "}")])
def test_depth(depth: int, both: tuple[str, str]) -> None:
    text = both[0] * depth + "1" + both[1] * depth
    result = outcome(from_json, text)
    assert result == outcome(decode, text)
    assert (result[0] == "RecursionError") == (depth > 1000)


def test_what_is_no_json() -> None:
    circle: list[object] = []
    circle.append({"a": circle})
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (circle, deep, object(), {"a": b""}, {b"a": 1}, {(): 1}, [{1, 2}]):
        result = outcome(to_json, value)
        assert result[0] in ("ValueError", "TypeError", "RecursionError")
        assert result == outcome(encode, value)


FRESH = f"""
import sys
sys.path.insert(0, {str(SOURCE)!r})
sys.modules.update(dict.fromkeys(sys.argv[1].split()))  # importing one of these now fails
from sandtop.agent.wire.frames import from_json, to_json
assert from_json(to_json({{"a": [1, None, "é"]}})) == {{"a": [1, None, "é"]}}
print("json" in sys.modules)
for text in sys.argv[2:]:
    for name in [name for name in sys.modules if name.startswith("json")]:
        del sys.modules[name]
    try:
        print(repr(from_json(text)))
    except ValueError as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize(("missing", "imported"), [("", "False"), ("_json", "True")])
def test_where_json_was_not_imported_before(missing: str, imported: str) -> None:
    """An error has no name there that `_json` could find; and a Python without `_json` is a Python too."""
    arguments = [sys.executable, "-I", "-S", "-c", FRESH, missing, *MALFORMED]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [imported, *["JSONDecodeError"] * len(MALFORMED)]
