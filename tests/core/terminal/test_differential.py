"""The same bytes into our emulator, a real tmux pane and Ghostty's engine: whole screens compared cell by cell.

Where one of them differs, the allow-lists say in which cells, and who is right by which document.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.core.terminal.generate import COLUMNS, ROWS, stream
from tests.core.terminal.oracles import Ghostty, Tmux, differences, of, ours

from sandtop.core.terminal import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.core.terminal.oracles import Screen

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS = sorted(path for path in FOLDER.glob("*.raw") if not path.stem.startswith("vttest"))

EL_AT_THE_MARGIN = (
    "ours: with the last column written the cursor is still in that column, so EL erases it (DEC STD 070, xterm); tmux "
    "keeps the cursor one column further"
)
HALFWIDTH_MARKS = (
    "ours, and Ghostty's: U+FF9E and U+FF9F are Grapheme_Extend (UAX #29), and the wcwidth library joins them to "
    "what they follow; tmux goes by the C library's width of 1"
)
PADDING = (
    "either: no document says what the last column holds when a wide character did not fit there; Ghostty gives that "
    "blank the whole rendition, ours and xterm's erasing give the background colour alone"
)
ORIGIN_RESTORE = (
    "ours: in origin mode the cursor cannot leave the scroll region (VT510 manual, DECOM); Ghostty's does"
)
ORIGIN_TWICE = (
    "ours: VPR counts from where the cursor is (ECMA-48 §8.3.161); Ghostty adds the origin once more"
)
HALF_LEFT = (
    "ours, and xterm's: a character over half of a wide one takes the whole away; tmux 3.3a leaves its left half, two "
    "columns wide, in one column"
)
HALF_COLOUR = (
    "either: no document says what colour is left of a wide character that was half overwritten; ours keeps its "
    "background, tmux takes the default, Ghostty the current one"
)
DCH_AT_THE_MARGIN = (
    "ours: " + EL_AT_THE_MARGIN.removeprefix("ours: ") + "; the same for DCH after a shift to the margin"
)
# (recording, oracle) to the cells that may differ, as row,column, and why.
ALLOWED: dict[tuple[str, str], tuple[set[str], str]] = {
    ("top-80x24", "tmux"): ({"5,79", "6,79"}, EL_AT_THE_MARGIN),
    ("top-200x50", "tmux"): ({"5,199", "6,199"}, EL_AT_THE_MARGIN),
    ("unicode-80x24", "tmux"): ({f"11,{x}" for x in range(32, 36)}, HALFWIDTH_MARKS),
    ("unicode-200x50", "tmux"): ({f"37,{x}" for x in range(32, 36)}, HALFWIDTH_MARKS),
}

# Seed of a generated stream to why it may differ.
ALLOWED_GHOSTTY = {
    5: PADDING, 47: PADDING, 147: ORIGIN_RESTORE, 157: PADDING, 171: PADDING, 214: PADDING, 241: PADDING,
    351: PADDING, 377: ORIGIN_TWICE, 381: PADDING,
}  # fmt: skip
ALLOWED_TMUX = {65: HALF_COLOUR, 83: HALF_LEFT, 95: HALF_COLOUR, 112: HALF_COLOUR, 114: DCH_AT_THE_MARGIN}
GHOSTTY_LACKS = frozenset({
    "DECSTR",  # leaves the rendition as it is; the VT510 manual says "normal"
    "HPR",  # adds the origin of origin mode once more
})  # fmt: skip
TMUX_LACKS = frozenset({
    "CHT", "HPR", "VPR", "graphemes",  # not there in tmux 3.3a
    "DECSTR",  # leaves the rendition as it is
    "IL", "DL",  # leave the cursor in its column; ECMA-48 §8.3.32 and §8.3.67 put it at the line's home
    "DECOM", "1049",  # DECSTBM homes to row 1 in origin mode; 1049 does nothing when already there
    "margin", "HT",  # at the margin its cursor is one column further, and REP stops there
})  # fmt: skip


@pytest.fixture(scope="module")
def tmux() -> Iterator[Tmux]:
    with Tmux() as server:
        yield server


def size_of(path: Path) -> tuple[int, int]:
    columns, rows = path.stem.rsplit("-", 1)[1].split("x")
    return int(columns), int(rows)


def unexplained(path: Path, oracle: str, found: list[str]) -> list[str]:
    """Differences that the allow-list does not name; an entry that names what does not differ is one too."""
    allowed = ALLOWED.get((path.stem, oracle), (set[str](), ""))[0]
    cells = {difference.split(":")[0] for difference in found}
    return [difference for difference in found if difference.split(":")[0] not in allowed] + [
        f"{cell}: allowed to differ, and does not" for cell in sorted(allowed - cells)
    ]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_as_tmux_shows_them(path: Path, tmux: Tmux) -> None:
    data, size = path.read_bytes(), size_of(path)
    assert unexplained(path, "tmux", differences(ours(data, *size), tmux.show(data, *size))) == []


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recordings_as_ghostty_shows_them(path: Path) -> None:
    data, size = path.read_bytes(), size_of(path)
    assert unexplained(path, "ghostty", differences(ours(data, *size), Ghostty().show(data, *size))) == []


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_dump_shows_the_same_in_tmux(path: Path, tmux: Tmux) -> None:
    columns, rows = size_of(path)
    emulator = Emulator(columns, rows)
    emulator.feed(path.read_bytes())
    found = differences(of(emulator), tmux.show(emulator.dump(), columns, rows))
    # tmux reads these two characters as it does in the recording.
    known = ALLOWED.get((path.stem, "tmux"), (set[str](), ""))
    assert [line for line in found if known[1] != HALFWIDTH_MARKS or line.split(":")[0] not in known[0]] == []


@pytest.mark.parametrize(
    "path", [path for path in RECORDINGS if "80x24" in path.stem], ids=lambda path: path.stem
)
def test_prefixes_of_recordings_as_ghostty_shows_them(path: Path) -> None:
    """Also on the way, not only at the end; cut where no sequence and no character is."""
    data, size = path.read_bytes(), size_of(path)
    for part in (1, 2, 3, 4):
        cut = data.find(b"\x1b", len(data) * part // 5)
        if cut > 0:
            assert differences(ours(data[:cut], *size), Ghostty().show(data[:cut], *size)) == []


@pytest.mark.slow
def test_generated_streams_as_ghostty_shows_them() -> None:
    differing = {
        seed
        for seed in range(400)
        if differences(
            ours(data := stream(seed, GHOSTTY_LACKS), COLUMNS, ROWS), Ghostty().show(data, COLUMNS, ROWS)
        )
    }
    assert differing == set(ALLOWED_GHOSTTY)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_generated_streams_as_tmux_shows_them(tmux: Tmux) -> None:
    differing = {
        seed
        for seed in range(150)
        if differences(ours(data := stream(seed, TMUX_LACKS), COLUMNS, ROWS), tmux.show(data, COLUMNS, ROWS))
    }
    assert differing == set(ALLOWED_TMUX)


@functools.cache
def vttest_screens() -> list[bytes]:
    """What vttest had written each time that it asked a person to judge a screen; each screen once."""
    path = FOLDER / "vttest-80x24.raw"
    data, emulator, at = path.read_bytes(), Emulator(80, 24), 0
    screens: dict[str, bytes] = {}
    for pause in map(int, path.with_suffix(".pauses").read_text().split()):
        emulator.feed(data[at:pause])
        screens.setdefault(emulator.text(), data[:pause])
        at = pause
    return list(screens.values())


# How vttest's screens begin, to why an oracle may differ there.
VTTEST_GHOSTTY = {
    "Selected as G0 (with SI)": "ours, and xterm's: a set of 94 characters has no DEL (ECMA-35 §6.2); Ghostty draws it",
}
VTTEST_TMUX = {
    "Selected as G0 (with SI)": "ours: the A set is the British one, with £ for # (VT220 manual); tmux knows no A set",
    "Test of autowrap": EL_AT_THE_MARGIN.replace("EL erases it", "BS and CR LF count from it"),
    "This line should be the one above the bottom": "ours, and Ghostty's: DECSTBM homes to the region in origin mode",
}


def vttest_differing(show: Callable[[bytes, int, int], Screen]) -> set[str]:
    """How the screens begin that are not the same there, cell by cell."""
    return {
        next((start for start in (*VTTEST_GHOSTTY, *VTTEST_TMUX) if start in text), text[:60])
        for data in vttest_screens()
        if differences(screen := ours(data, 80, 24), show(data, 80, 24))
        for text in [" ".join(screen.text().split())]
    }


@pytest.mark.slow
def test_vttest_as_ghostty_shows_it() -> None:
    """32 of 33 screens are the same, cell by cell."""
    assert len(vttest_screens()) == 33
    assert vttest_differing(Ghostty().show) == set(VTTEST_GHOSTTY)


@pytest.mark.slow
def test_vttest_as_tmux_shows_it(tmux: Tmux) -> None:
    """30 of 33 screens are the same, cell by cell."""
    assert vttest_differing(tmux.show) == set(VTTEST_TMUX)


def test_resized_text_wraps_as_ghosttys() -> None:
    words = "a line of \x1b[1mwords\x1b[m that is wider than the screen, with 中文 in it\r\nshort\r\n\r\n$ ".encode()
    for width in (12, 17, 33, 80):
        emulator = Emulator(20, 8)
        emulator.feed(words)
        emulator.resize(width, 8)
        assert of(emulator).text() == Ghostty().show(words, 20, 8, (width, 8)).text()
