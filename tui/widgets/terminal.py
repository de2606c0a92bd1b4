"""A terminal: keys, pastes and the mouse go to its program, or to copy mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from textual.message import Message

from sandtop.tui.actions import ScopeName, actions_of, bindings_of, textual_key

from .app_of import app_of
from .keys import MOVE, PRESS, RELEASE, encode_key, encode_mouse, encode_paste
from .terminal_copy import TerminalCopy

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType

_EARLY_BYTES: Final = 16 * 1024
"""Bytes that are kept of what is typed while the program is being started."""


def _names(scope: ScopeName) -> dict[str, str]:
    """The keys of ``scope``, and the action of each."""
    return {textual_key(key): action.name for action in actions_of(scope) for key in action.keys}


class TerminalView(TerminalCopy, can_focus=True):
    """Live, every key goes to the program, or is dropped if none reads it. F12 steps out, into copy mode.

    Attributes:
        awaiting: whether keys will reach a program is not known yet; until it is, they are kept.
        may_take: the program runs, so its input can be taken.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("terminal")]

    @dataclass
    class Typed(Message):
        """Input for the program."""

        view: TerminalView
        data: bytes

    @dataclass
    class Resized(Message):
        """The terminal has another size, and so has the program's window."""

        view: TerminalView
        rows: int
        columns: int

    @dataclass
    class Unread(Message):
        """Something was typed that no program reads."""

        view: TerminalView

    def __init__(self) -> None:
        super().__init__()
        self.awaiting = False
        self.may_take = True
        self._early = bytearray()
        self._drag: tuple[int, int] | None = None

    def feed(self, data: bytes, *, replayed: bool) -> int:
        """Take output for `SLICE_SECONDS`; returns how many bytes were taken.

        The terminal's replies go to the program, except to ``replayed`` output, which had its replies when it was new.
        """
        taken, replies = self.take(data)
        if replies and not replayed and self.holds_input:
            self.post_message(self.Typed(self, replies))
        return taken

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width > 0 and event.size.height > 0:
            self.resize_to(event.size.height, event.size.width)
            self.post_message(self.Resized(self, event.size.height, event.size.width))

    def on_focus(self) -> None:
        self._focus_changed(b"\x1b[I")

    def on_blur(self) -> None:
        self._focus_changed(b"\x1b[O")

    def _focus_changed(self, report: bytes) -> None:
        self.redraw_cursor()
        if self.emulator.modes.focus_events and self.live and self.holds_input:
            self.post_message(self.Typed(self, report))

    # the keyboard and the mouse, when the program has them

    def on_key(self, event: events.Key) -> None:
        if not self.live:
            return  # in copy mode keys are bindings
        event.stop()
        event.prevent_default()
        self.press(event)

    def press(self, event: events.Key) -> None:
        """A key for the program."""
        if (kept := self._kept_back(event.key)) is not None:
            getattr(self, f"action_{kept}")()
        elif event.key in ("shift+pageup", "shift+up") and not self.emulator.modes.alternate_screen:
            self.action_step_out()
            self._moved(self.copy_mode.scroll(self.size.height - 1 if event.key == "shift+pageup" else 1))
        else:
            self._type(encode_key(event.key, event.character, self.emulator.modes))

    @property
    def reads_keys(self) -> bool:
        """Whether a program reads what is typed here, or will once it is started."""
        return self.holds_input or self.awaiting

    def _kept_back(self, key: str) -> str | None:
        """The action of ``key``, if it never goes to the program in the present state; else None."""
        if self.awaiting and key == "escape":
            return "step_out"  # escape ends the wait for the program
        if self.reads_keys:
            return _names("live").get(key)  # these never go to the program
        # all others are dropped: they were meant for a program, not as commands
        action = _names("nobody").get(key)
        return action if action != "take" or self.may_take else None

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self.live:
            self._type(encode_paste(event.text, self.emulator.modes))

    def _type(self, data: bytes) -> None:
        if not data:
            return
        if self.awaiting and len(self._early) + len(data) <= _EARLY_BYTES:
            self._early += data
            return
        if not self.holds_input:
            self._refuse()
            return
        if self.copy_mode.leave():  # what is typed shows at the present
            self.redraw()
        self.post_message(self.Typed(self, data))

    def _refuse(self) -> None:
        app_of(self).bell()
        self.post_message(self.Unread(self))

    def settle(self) -> None:
        """It is known now whether keys reach the program: send it what was kept, or refuse that."""
        self.awaiting = False
        early, self._early = bytes(self._early), bytearray()
        self._type(early)

    def _mouse(self, kind: str, event: events.MouseEvent, button: int) -> bool:
        """Send a mouse event to the program if it asked for such; with shift it stays here, as in xterm."""
        if not (self.live and self.holds_input and self.emulator.modes.mouse) or event.shift:
            return False
        modifiers = (8 if event.meta else 0) + (16 if event.ctrl else 0)
        data = encode_mouse(kind, button, event.x, event.y, modifiers, self.emulator.modes)
        if data:
            self.post_message(self.Typed(self, data))
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self._mouse(PRESS, event, event.button):
            event.stop()
            return
        if event.button == 1:
            self._drag = (self.copy_mode.top + event.y, event.x)
            self.copy_mode.unselect()
            self.capture_mouse()
            self.redraw()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is not None:
            height = self.size.height
            if not 0 <= event.y < height:  # beyond an edge: scroll that way
                self.copy_mode.scroll(-event.y if event.y < 0 else height - 1 - event.y)
            end = (self.copy_mode.top + max(0, min(event.y, height - 1)), max(0, event.x))
            self.copy_mode.drag(self._drag, end)
            self.redraw()
        else:
            self._mouse(MOVE, event, event.button)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._drag is None:
            self._mouse(RELEASE, event, event.button)
            return
        self._drag = None
        self.release_mouse()
        if self.copy_mode.selecting:
            self._copy()
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(event, 64, "up", 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(event, 65, "down", -3)

    def _wheel(self, event: events.MouseEvent, button: int, key: str, rows: int) -> None:
        if self._mouse(PRESS, event, button):
            return
        if self.emulator.modes.alternate_screen and self.live and self.holds_input:
            self._type(encode_key(key, None, self.emulator.modes) * 3)  # as xterm does in `less`
        else:
            self._moved(self.copy_mode.scroll(rows))

    # between the program and copy mode

    def action_step_out(self) -> None:
        """Make keys commands again, here and elsewhere."""
        if not self.reads_keys:
            self.post_message(self.Asked(self, "read"))
        self.live = False
        self.redraw_cursor()
        self.post_message(self.Changed(self))

    def action_step_in(self) -> None:
        if not self.holds_input:
            self._refuse()
            return
        self.live = True
        if self.copy_mode.leave():
            self.redraw()
        else:
            self.redraw_cursor()
        self.post_message(self.Changed(self))

    def action_detach(self) -> None:
        self.post_message(self.Asked(self, "detach"))

    def action_watch(self) -> None:
        self.post_message(self.Asked(self, "watch"))

    def action_take(self) -> None:
        self.post_message(self.Asked(self, "take"))
