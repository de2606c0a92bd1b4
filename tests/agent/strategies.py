"""What the property tests draw: frames, and ways to cut bytes into pieces."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sandtop.agent.wire import Control, Credit, Data, Eof, Frame

PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])
"""For all property tests: the machine may be busy with emulating others."""

OFFSETS = st.integers(0, (1 << 63) - 1)
NUMBERS = st.integers(0, (1 << 32) - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def _messages(draw: st.DrawFn) -> Control:
    return Control({**draw(st.dictionaries(st.text(), JSON, max_size=4)), "type": draw(st.text())})


@st.composite
def _credits(draw: st.DrawFn) -> Credit:
    first, second = sorted((draw(OFFSETS), draw(OFFSETS)))
    return Credit(draw(NUMBERS), first, second)


FRAMES: st.SearchStrategy[Frame] = st.one_of(
    _messages(),
    _credits(),
    st.builds(Data, NUMBERS, OFFSETS, st.binary(max_size=200)),
    st.builds(Eof, NUMBERS, OFFSETS),
)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """``data`` cut into pieces of ``sizes``, again and again; whole when there are none."""
    if not sizes:
        return [data]
    cut: list[bytes] = []
    position = 0
    while position < len(data):
        size = sizes[len(cut) % len(sizes)]
        cut.append(data[position : position + size])
        position += size
    return cut


SIZES = st.lists(st.integers(1, 40), max_size=6)
