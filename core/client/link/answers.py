"""What the core's answers hold, taken out of JSON with care."""

from __future__ import annotations

from sandtop.core.errors import CoreFailure

TYPE_CHECKING = False  # see sandtop/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeGuard


class Listing:
    """A list that the core gives in pages, the newest first.

    Attributes:
        fields: of the request for the next page.
        items: all that came, oldest first.
    """

    __slots__ = ("_field", "_key", "fields", "items")

    def __init__(self, op: str, fields: Mapping[str, object]) -> None:
        self._field, self._key = ("sessions", "id") if op == "session.list" else ("sandboxes", "uuid")
        self.fields = dict(fields)
        self.items: list[dict[str, object]] = []

    def take(self, result: Mapping[str, object]) -> bool:
        """Take a page; whether there is another."""
        page = as_objects(result.get(self._field))
        self.items = page + self.items
        if result.get("more") is not True or not page:
            return False
        self.fields["before"] = page[0].get(self._key)
        return True


def as_list(value: object) -> list[object]:
    """``value``, a JSON list from the core; anything else is empty."""
    return value if _is_list(value) else []


def as_objects(value: object) -> list[dict[str, object]]:
    """``value``, a list of JSON objects from the core; anything else in it is left out."""
    return [item for item in as_list(value) if _is_object(item)]


def as_object(value: object) -> dict[str, object]:
    """``value``, a JSON object from the core. Raises `CoreFailure` when it is none."""
    if not _is_object(value):
        raise CoreFailure("the core's answer lacks what was asked for", hint="see the core's log")
    return value


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)
