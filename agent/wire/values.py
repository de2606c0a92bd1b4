"""Checks of the fields of messages. The agent checks the core's messages too: the core may be newer, or faulty."""

from __future__ import annotations

TYPE_CHECKING = False  # see frames.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, TypeGuard

_MAX_INTEGER: Final = (1 << 53) - 1


class InvalidMessage(Exception):
    """A field of a message is missing or has a wrong value. ``str()`` says which."""


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether ``value``, which came out of JSON, is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether ``value``, which came out of JSON, is a list."""
    return isinstance(value, list)


def text(message: Mapping[str, object], field: str) -> str:
    """A string without NUL. Raises `InvalidMessage`, as all here do."""
    value = message.get(field)
    if not isinstance(value, str) or "\0" in value or not _is_encodable(value):
        raise InvalidMessage(f"{field} must be a string without NUL, and such as UTF-8 can carry")
    return value


def _is_encodable(value: str) -> bool:
    """Whether it can be encoded for the kernel: lone surrogates cannot, except those that stand for bytes (PEP 383)."""
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def optional_text(message: Mapping[str, object], field: str) -> str | None:
    """A string without NUL, or None when the field is null or absent."""
    return None if message.get(field) is None else text(message, field)


def integer(message: Mapping[str, object], field: str, least: int = 0, most: int = _MAX_INTEGER) -> int:
    """An integer from ``least`` to ``most``."""
    value = message.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidMessage(f"{field} must be an integer from {least} to {most}")
    return value


def boolean(message: Mapping[str, object], field: str) -> bool:
    """True or false; false when absent."""
    value = message.get(field, False)
    if not isinstance(value, bool):
        raise InvalidMessage(f"{field} must be true or false")
    return value


def texts(message: Mapping[str, object], field: str) -> list[str]:
    """A list of one or more strings without NUL."""
    value = message.get(field)
    if not is_list(value) or not value:
        raise InvalidMessage(f"{field} must be a list of strings, with at least one")
    if not _are_texts(value):
        raise InvalidMessage(f"{field} must be strings without NUL, and such as UTF-8 can carry")
    return value


def _are_texts(items: list[object]) -> TypeGuard[list[str]]:
    """Runs no Python code for each item, as there may be 100,000 of them, in an emulated guest."""
    if set(map(type, items)) != {str}:
        return False
    text = "".join(map(str, items))
    return "\0" not in text and _is_encodable(text)


def optional_object(message: Mapping[str, object], field: str) -> dict[str, object] | None:
    """An object, or None when the field is null or absent."""
    value = message.get(field)
    if value is None or is_object(value):
        return value
    raise InvalidMessage(f"{field} must be an object")


def environment(message: Mapping[str, object], field: str) -> dict[str, str]:
    """An object of strings, its names such as execve(2) takes them; empty when null or absent."""
    pairs = optional_object(message, field) or {}
    for name in pairs:
        if not name or "=" in name or "\0" in name or not _is_encodable(name):
            raise InvalidMessage(f"{field}: {name!r} cannot be a variable's name")
    return {name: text(pairs, name) for name in pairs}
