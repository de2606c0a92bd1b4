"""JSON to the contract's records: checked, with an error that names the operation and the field."""

from __future__ import annotations

import importlib
import sys
import typing
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

from sandtop.core.contract import limits
from sandtop.core.contract.record import Event, Part, Record, Request, is_list, is_object
from sandtop.core.errors import CoreFailure, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    Reader = Callable[[str, object], object]
    """Is given a field's name and its JSON; returns the value. Raises `_Mismatch`, or `InvalidRequest` for a limit."""

R = TypeVar("R", bound=Record)
Asked = TypeVar("Asked", bound=Request[Any])
Told = TypeVar("Told", bound=Event)
_ENVELOPE: Final = frozenset({"type", "op"})
_SHOWN: Final = 40
"""Characters of a wrong value that an error shows."""


class _Wrong(Exception):
    """``str()`` says of a field what is wrong with it."""


class _Mismatch(_Wrong):
    """``field`` must be ``words``."""

    def __init__(self, field: str, words: str, value: object) -> None:
        shown = repr(value)
        if len(shown) > _SHOWN:
            shown = f"{shown[: _SHOWN - 1]}…"
        super().__init__(f"{field} must be {words}, not {shown}")


class _Absent(Exception):
    """The field of this name is missing."""


def decode_request(kind: type[Asked], message: Mapping[str, object], *, newer: bool = False) -> Asked:
    """The request of ``kind`` that ``message`` is. Null is the same as absent where a field knows no null.

    ``newer``: from a client that is newer than this, whose fields that are not known here are left out. Raises
    `InvalidRequest`, which names the operation and the field that is unknown, missing or of a wrong type.
    """
    about = message.get("sandbox")
    sandbox = about[:80] if isinstance(about, str) else None
    unknown = message.keys() - kind.fields.keys() - _ENVELOPE - kind.outdated
    if unknown and not newer:
        known = ", ".join(sorted(kind.fields)) or "none"
        raise InvalidRequest(
            f"{kind.op} has no field {_some(unknown)}", sandbox=sandbox, hint=f"it has: {known}"
        )
    try:
        return _read(kind, message, "", nulls=False)
    except _Wrong as error:
        raise InvalidRequest(f"{kind.op}: {error}", sandbox=sandbox) from None
    except _Absent as error:
        raise InvalidRequest(f"{kind.op}: the field {error} is missing", sandbox=sandbox) from None
    except InvalidRequest as error:
        error.sandbox = error.sandbox or sandbox
        raise


def _some(names: AbstractSet[str]) -> str:
    return ", ".join(repr(name)[:_SHOWN] for name in sorted(names)[:3])


def decode_event(kind: type[Told], message: Mapping[str, object]) -> Told:
    """The event of ``kind`` that a client sent. Raises `InvalidRequest`; fields of a newer client are left out."""
    try:
        return _read(kind, message, "", nulls=False)
    except _Wrong as error:
        raise InvalidRequest(f"{kind.kind}: {error}") from None
    except _Absent as error:
        raise InvalidRequest(f"{kind.kind}: the field {error} is missing") from None


def decode_result(kind: type[R], data: Mapping[str, object]) -> R:
    """The result, or the object in one, that the core sent. What a newer core says more is left out.

    Raises `CoreFailure` for a field that is missing or makes no sense.
    """
    try:
        return _read(kind, data, "", nulls=True)
    except _Wrong as error:
        raise CoreFailure(f"the core's answer makes no sense: {error}", hint="see its log") from None
    except _Absent as error:
        raise CoreFailure(f"the core's answer lacks the field {error}", hint="see its log") from None
    except InvalidRequest as error:
        raise CoreFailure(f"the core's answer makes no sense: {error.message}", hint="see its log") from None


def result_of(kind: type[Request[R]]) -> type[R]:
    """The class of what an operation answers."""
    (found,) = get_args(vars(kind)["__orig_bases__"][0])
    if isinstance(found, str):  # its module is imported no sooner than somebody reads it
        found = getattr(importlib.import_module(f"{kind.__module__}_results"), found)
    return cast("type[R]", found)


def _read(kind: type[R], data: Mapping[str, object], path: str, *, nulls: bool) -> R:
    given: dict[str, object] = {}
    for name, (read, nullable) in _readers(kind).items():
        sent = name.removesuffix("_")
        if sent not in data:
            continue
        value = data[sent]
        if value is None and not nullable and not nulls:
            continue
        given[name] = read(path + name, value)
    missing = kind.required - given.keys()
    if missing:
        raise _Absent(path + min(missing))
    return kind(**given)


_READERS: Final[dict[type[Record], dict[str, tuple[Reader, bool]]]] = {}


def _readers(kind: type[Record]) -> dict[str, tuple[Reader, bool]]:
    """For each field what reads it, and whether it may be null; made when a record of that kind is first read."""
    found = _READERS.get(kind)
    if found is None:
        names = {**vars(typing), **vars(limits), **vars(sys.modules[kind.__module__])}
        hints = {name: eval(text, names) for name, text in kind.fields.items()}
        found = {name: (_reader(hint), NoneType in get_args(hint)) for name, hint in hints.items()}
        _READERS[kind] = found
    return found


def _reader(hint: object) -> Reader:
    """What reads a field with this annotation."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(_reader(arguments[0]), arguments[1:])
    if origin in (UnionType, Union):
        return _nullable(_reader(next(one for one in arguments if one is not NoneType)))
    if origin is Literal:
        return _one_of(arguments)
    if origin is list:
        return _list(arguments[0])
    if origin is dict:
        return _object(arguments[1])
    if isinstance(hint, type) and issubclass(hint, Record):
        return _record(hint)
    return _plain(cast("type[object]", hint))


_WORDS: Final[dict[object, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    object: "anything",
}
_SEVERAL: Final[dict[object, str]] = {int: "whole numbers", float: "numbers", str: "texts"}
_TYPES: Final[dict[object, frozenset[object]]] = {float: frozenset({int, float})}


def _plain(kind: type[object]) -> Reader:
    """A value of JSON's own: true is no number here."""
    words, types = _WORDS[kind], _TYPES.get(kind, frozenset({kind}))

    def read(field: str, value: object) -> object:
        if type(value) not in types:
            raise _Mismatch(field, words, value)
        return value

    return (lambda _field, value: value) if kind is object else read


def _bounded(inner: Reader, bounds: tuple[Any, ...]) -> Reader:
    def read(field: str, value: object) -> object:
        value = inner(field, value)
        for bound in bounds:
            bound.check(field, value)
        return value

    return read


def _nullable(inner: Reader) -> Reader:
    return lambda field, value: None if value is None else inner(field, value)


def _one_of(choices: tuple[str, ...]) -> Reader:
    words = f"{', '.join(choices[:-1])} or {choices[-1]}"

    def read(field: str, value: object) -> object:
        if value not in choices:
            raise _Mismatch(field, words, value)
        return value

    return read


def _list(kind: object) -> Reader:
    """A list, whose items are looked at together where they are JSON's own: a command line may have 100,000."""
    words = f"a list of {_SEVERAL[kind]}" if kind in _SEVERAL else "a list"
    types = _TYPES.get(kind, frozenset({kind})) if kind in _SEVERAL else None
    inner = None if types else _reader(kind)

    def read(field: str, value: object) -> object:
        if not is_list(value):
            raise _Mismatch(field, words, value)
        if inner is not None:
            return [inner(f"{field}[{at}]", item) for at, item in enumerate(value)]
        if types is not None and not types.issuperset(map(type, value)):
            raise _Mismatch(field, words, value)
        return value

    return read


def _object(kind: object) -> Reader:
    words = f"an object of {_SEVERAL[kind]}" if kind in _SEVERAL else "an object"
    inner = _reader(kind)

    def read(field: str, value: object) -> object:
        if not is_object(value):
            raise _Mismatch(field, words, value)
        return {name: inner(f"{field}.{name[:_SHOWN]}", item) for name, item in value.items()}

    return read


def _record(kind: type[Record]) -> Reader:
    def read(field: str, value: object) -> object:
        if not is_object(value):
            raise _Mismatch(field, "an object", value)
        if issubclass(kind, Part) and (unknown := value.keys() - kind.fields.keys()):
            raise _Wrong(f"{field} has no field {_some(unknown)}")
        return _read(kind, value, f"{field}.", nulls=True)

    return read
