"""The base of the screens that lie over another: questions, forms, and pages to read."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Modal(ModalScreen[Answer]):
    """Lies over another screen until `answer`."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No action runs before its widgets are there, nor once it is closing: keys that were typed ahead come then."""
        return self.is_mounted and self.is_current and super().check_action(action, parameters)

    def answer(self, result: Answer | None = None) -> None:
        """Close with ``result``; does nothing when it is closing already."""
        if self.is_current:
            self.dismiss(result)
