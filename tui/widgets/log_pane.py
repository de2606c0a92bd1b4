"""A pane with a session's log: its keys, its filters, and what its title shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.message import Message

from sandtop.tui.actions import bindings_of
from sandtop.tui.stream.ring import Ring
from sandtop.tui.text import command_line, neutral, plural, rate, size

from .app_of import app_of
from .ask_line import AskLine
from .log_lines import STREAMS, Pattern, compile_pattern
from .log_search import Arrival, search, show_last_stderr
from .log_view import LogView
from .match_count import MatchCount
from .pane import Pane
from .pane_title import Badge, PaneTitle

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from sandtop.core.client.sdk import SessionInfo
    from sandtop.tui.store import SessionView

LAG_BYTES = 256 * 1024
"""When the pane is further behind what the session wrote, its title says so."""


class LogPane(Pane):
    """Takes the output of a session, as a `sandtop.tui.stream.tail.TailSink`, and shows it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_of("log")]
    SCOPE = "log"

    @dataclass
    class Asked(Message):
        """The operator wants to ``save`` the log, or to read ``older`` lines than the pane has."""

        pane: LogPane
        what: str

    @dataclass
    class Said(Message):
        """Something to tell the operator in a line."""

        text: str

    def __init__(
        self, key: str, uuid: str, sandbox: str, info: SessionInfo | None, clock: Callable[[], float]
    ) -> None:
        super().__init__(key, uuid, sandbox, info)
        self.view = LogView()
        self._arrival = Arrival()
        self._clock = clock
        self._whole = False
        self._evidence = False
        self._matches: MatchCount | None = None
        self._counting = False

    def compose(self) -> ComposeResult:
        yield PaneTitle()
        yield self.view
        yield AskLine()

    # what comes in

    def opens(self, stdout: int, stderr: int, lines: int) -> None:
        """The log, which holds so many bytes of each stream, begins to come: its last ``lines`` lines."""
        self._arrival.expect(stdout, stderr, lines)
        if self._evidence:
            self.show_evidence()

    def take(self, stream: int, data: bytes, offset: int, at: float | None) -> None:
        self.view.ring.take(stream, data, offset, at if at is not None else self._clock())
        self._arrival.advance(stream, offset + len(data), self.view.ring.end)
        self.view.took()

    def gap(self, stream: int, count: int) -> None:
        name = "stderr" if stream == 2 else "stdout"
        self.view.ring.note(f"{size(count)} of {name} missing: they fell to the log's cap", self._clock())
        self._arrival.advance(stream, self._arrival.reached[stream] + count, self.view.ring.end)
        self.view.took()

    def start_over(self, whole: bool) -> None:
        """Forget all lines, since the log is read anew; with ``whole`` from its beginning."""
        self._whole = whole
        self._arrival.restart()
        self.view.replace_ring(Ring())
        if not whole:
            self.view.follow()

    def show_session(self, session: SessionView | None) -> None:
        super().show_session(session)
        if self.ready and self.view.ended != self._has_ended:
            self.view.ended = self._has_ended
            self.view.refresh()

    @property
    def wants_all(self) -> bool:
        """Whether the operator has asked for the whole log."""
        return self._whole

    @property
    def older(self) -> bool:
        """Whether the log has lines before those that the pane has read."""
        return not self._whole and any(self.view.ring.first_offset.values())

    def show_evidence(self) -> None:
        """Stand at the first line of what was written last to stderr, as soon as all has come; else at the end."""
        self._evidence = not self._arrival.begun
        if self._arrival.begun:
            self.run_worker(show_last_stderr(self.view, self._arrival), group="search", exclusive=True)

    # the title

    @property
    def what(self) -> str:
        assert self.info is not None
        command = self.session.command if self.session else command_line(self.info.argv)
        return f"{neutral(self.sandbox)} › {command}"

    def badges(self) -> list[Badge]:
        badges = super().badges()
        view = self.view
        if view.following:
            badges.append(("following", "$text-success") if not self._has_ended else ("end", "$text-muted"))
        else:
            new = f" · {view.unseen} new" if view.unseen else ""
            badges.append((f"paused{new}", "bold $text-warning"))
        if (behind := self._behind) > LAG_BYTES:
            badges.append((f"{size(behind)} behind", "bold $text-warning"))
        if self.session is not None and (speed := rate(self.session.rate)):
            badges.append((speed, "$text-accent"))
        if view.lines.streams != "all":
            badges.append((f"{view.lines.streams} only", "bold $text-warning"))
        badges += [(neutral(pattern.label, 40), "$text-warning") for pattern in view.lines.patterns]
        if view.looking_for is not None:
            count = f"  {self._matches.at(view.found)}" if self._matches is not None else ""
            badges.append((f"/{neutral(view.looking_for.pattern, 30)}{count}", "$text-accent"))
        return badges

    @property
    def _has_ended(self) -> bool:
        return self.session is not None and self.session.ended

    @property
    def _behind(self) -> int:
        if self.session is None:
            return 0
        info, reached = self.session.info, self._arrival.reached
        return max(0, info.stdout_bytes - reached[1]) + max(0, info.stderr_bytes - reached[2])

    def on_log_view_changed(self) -> None:
        self.show_title()
        if self._matches is not None and not self._counting and self._matches.behind(self.view.lines):
            self._counting = True
            self.run_worker(self._count(self._matches), group="count")

    async def _count(self, matches: MatchCount) -> None:
        try:
            await matches.go_on(self.view.lines)
        finally:
            self._counting = False
        self.show_title()

    def on_log_view_selected(self, event: LogView.Selected) -> None:
        app_of(self).copy_to_clipboard(event.text)
        self.post_message(self.Said(f"copied {plural(event.text.count(chr(10)) + 1, 'line')}"))

    def take_focus(self) -> None:
        self.view.focus()

    # moving

    def action_line_down(self) -> None:
        self.view.scroll_rows(1)

    def action_line_up(self) -> None:
        self.view.scroll_rows(-1)

    def action_page_down(self) -> None:
        self.view.scroll_rows(max(1, self.view.size.height - 1))

    def action_page_up(self) -> None:
        self.view.scroll_rows(-max(1, self.view.size.height - 1))

    def action_top(self) -> None:
        if self.older:
            self.post_message(self.Asked(self, "older"))
        else:
            self.view.to_top()

    def action_bottom(self) -> None:
        self.view.follow()

    def action_follow(self) -> None:
        if self.view.following:
            self.view.stand()
        else:
            self.view.follow()

    def action_sideways(self, step: int) -> None:
        self.view.sideways(step)

    def action_wrap(self) -> None:
        self.view.wrap = not self.view.wrap
        self.view.renew()

    def action_times(self) -> None:
        self.view.times = not self.view.times
        self.view.renew()

    def action_stderr(self) -> None:
        lines = self.view.lines
        lines.streams = STREAMS[(STREAMS.index(lines.streams) + 1) % len(STREAMS)]
        self._filters_changed()

    # searching and filtering

    def action_search(self) -> None:
        self.ask("/", "search", self.view, self._search_for)

    def action_include(self) -> None:
        self.ask("&", "only lines that match", self.view, lambda text: self._filter(text, hide=False))

    def action_exclude(self) -> None:
        self.ask("!", "without lines that match", self.view, lambda text: self._filter(text, hide=True))

    def _search_for(self, text: str) -> None:
        if pattern := self.sought(text):
            self.view.looking_for, self.view.found = pattern, None
            self._matches = MatchCount(pattern)
            self.view.renew()
            self.action_search_next(-1)

    def _filter(self, text: str, *, hide: bool) -> None:
        if text:
            self.view.lines.patterns.append(Pattern(compile_pattern(text), hide))
            self._filters_changed()

    def stop_searching(self) -> bool:
        if self.view.looking_for is None:
            return False
        self.view.looking_for = self.view.found = self._matches = None
        self.view.renew()
        return True

    def action_unfilter(self) -> None:
        if self.view.lines.patterns:
            self.view.lines.patterns.pop()
            self._filters_changed()

    def _filters_changed(self) -> None:
        if self.view.looking_for is not None:
            self._matches = MatchCount(self.view.looking_for)
        self.view.lines.reset()
        self.view.renew()
        self.show_title()

    def action_search_next(self, step: int) -> None:
        if self.view.looking_for is not None:
            self.run_worker(self._search(step), group="search", exclusive=True)

    async def _search(self, step: int) -> None:
        if not await search(self.view, step, self._arrival):
            app_of(self).bell()
            self.post_message(self.Said("nothing found that way"))

    # taking away

    def action_save(self) -> None:
        self.post_message(self.Asked(self, "save"))

    def action_copy(self) -> None:
        text = self.view.text_shown
        app_of(self).copy_to_clipboard(text)
        self.post_message(self.Said(f"copied {plural(text.count(chr(10)) + 1, 'line')}"))
