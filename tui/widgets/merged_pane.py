"""A pane with the logs of several sandboxes in one, each line with its sandbox in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandtop.tui.ansi import plain
from sandtop.tui.text import neutral, plural, size

from .log_pane import LogPane

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandtop.core.client.sdk import Source

    from .pane_title import Badge

STREAMS_EACH: Final = 4
"""A session's streams in the ring are this times its number, and 1 for stdout or 2 for stderr."""
_MOST_NAME: Final = 20


class MergedPane(LogPane):
    """Takes the output of all sessions of ``names`` (uuid to name), as a `sandtop.tui.stream.merged.MergedSink`.

    Attributes:
        names: of the sandboxes, by uuid.
    """

    def __init__(self, key: str, names: Mapping[str, str], clock: Callable[[], float]) -> None:
        first = next(iter(names))
        super().__init__(key, first, names[first], None, clock)
        self.names = dict(names)
        self._numbers: dict[str, int] = {}
        self._arrival.expect(0, 0, 0)  # it never says that all has come
        self._width = min(_MOST_NAME, max(len(neutral(name)) for name in names.values()))

    @property
    def what(self) -> str:
        shown = ", ".join(neutral(name) for name in list(self.names.values())[:3])
        more = f" and {len(self.names) - 3} more" if len(self.names) > 3 else ""
        return f"logs of {plural(len(self.names), 'sandbox')}: {shown}{more}".replace("sandboxs", "sandboxes")

    def badges(self) -> list[Badge]:
        badges = super().badges()
        return [*badges[:1], (plural(len(self._numbers), "session"), "$text-muted"), *badges[1:]]

    # what comes in

    def take_of(self, source: Source, stream: int, data: bytes, at: float | None) -> None:
        """Output of a session."""
        self.view.ring.take(self._number(source) * STREAMS_EACH + stream, data, 0, at)
        self.view.took()

    def gap_of(self, source: Source, stream: int, count: int) -> None:
        """Bytes of it are missing."""
        name = "stderr" if stream == 2 else "stdout"
        note = f"{neutral(source.sandbox)}: {size(count)} of {name} missing: they fell to the log's cap"
        self.view.ring.note(note, self._clock())
        self.view.took()

    def _number(self, source: Source) -> int:
        number = self._numbers.get(source.session)
        if number is None:
            number = self._numbers[source.session] = len(self._numbers)
            colour = list(self.names).index(source.uuid) if source.uuid in self.names else number
            self.view.name_source(number, neutral(source.sandbox)[: self._width].ljust(self._width), colour)
            self.view.lines.names[number] = neutral(source.sandbox)
            self.show_title()
        return number

    @property
    def older(self) -> bool:
        return False

    @property
    def text_kept(self) -> str:
        """All lines that are kept and pass the filters, each with its sandbox in front."""
        lines = (
            line for line in self.view.ring.forwards(self.view.ring.first) if self.view.lines.passes(line)
        )
        return "".join(f"{self.view.source_of(line)}{plain(line.text)}\n" for line in lines)
