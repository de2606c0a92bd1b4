"""What all screens over another have: keys that come too early, or once more, are for nobody."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Modal(ModalScreen[Answer]):
    """Asks or tells something, until `answer`."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that somebody types ahead come while it is being made, and while it goes."""
        return self.is_mounted and self.is_current and super().check_action(action, parameters)

    def answer(self, result: Answer | None = None) -> None:
        """Go away with ``result``; harmless when it is on its way already."""
        if self.is_current:
            self.dismiss(result)
