"""The filter of the list of sandboxes: words that must all match; ``!`` in front of a word inverts it.

``state:failed``, ``label:team=a`` (or ``label:team``), ``image:base``, ``name:web`` and ``need:`` look at one field.
Any other word is looked for in the name, state, image, labels and what the sandbox needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import SandboxView

_FIELDS = ("state", "label", "image", "name", "need")


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter. ``field``: where to look, empty for everywhere. ``value``: in lower case."""

    field: str
    value: str
    inverted: bool

    def matches(self, sandbox: SandboxView) -> bool:
        """Whether ``sandbox`` passes this word."""
        return self._found(sandbox) != self.inverted

    def _found(self, sandbox: SandboxView) -> bool:
        info, value = sandbox.info, self.value
        if self.field == "label":
            name, equals, wanted = value.partition("=")
            labels = {key.lower(): text.lower() for key, text in info.labels.items()}
            return labels.get(name) == wanted if equals else any(name in key for key in labels)
        if self.field == "state":
            return info.state.startswith(value)
        if self.field == "image":
            return value in info.image.lower()
        if self.field == "name":
            return value in info.name.lower()
        if self.field == "need":
            return sandbox.need.wants_someone and value in sandbox.need.text.lower()
        labels_text = " ".join(f"{key}={text}" for key, text in info.labels.items())
        text = f"{info.name} {info.state} {info.image} {labels_text} {sandbox.need.text}"
        return value in text.lower()


@dataclass(frozen=True, slots=True)
class Filter:
    """Lets a sandbox through that matches all ``terms``."""

    terms: tuple[Term, ...] = ()

    def matches(self, sandbox: SandboxView) -> bool:
        return all(term.matches(sandbox) for term in self.terms)


def parse_filter(text: str) -> Filter:
    """The filter in ``text``. Any text is one, so that each letter may be tried as it is typed."""
    terms: list[Term] = []
    for word in text.lower().split():
        inverted = word.startswith("!")
        word = word.lstrip("!")
        field, colon, value = word.partition(":")
        if not colon or field not in _FIELDS:
            field, value = "", word
        if value or field == "need":
            terms.append(Term(field, value, inverted))
    return Filter(tuple(terms))
