"""The gate between a program and the operator's terminal: what acts outside of the screen stays outside."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandtop.core.client.session.gate import Gate
from sandtop.core.client.session.refusals import KINDS, allowed
from sandtop.core.errors import InvalidRequest

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def passed(data: bytes, *allowed: str, cut: int = 1 << 20, mute: bool = False) -> bytes:
    gate = Gate(frozenset(allowed), mute=mute)
    return b"".join(gate.feed(data[at : at + cut]) for at in range(0, len(data), cut))


SCREEN = [
    b"text \xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x91\xa8 \r\n\t\x07\x08\x0e\x0f",
    b"\x1b[31;1mred\x1b[0m \x1b[38:2::1:2:3mrgb\x1b[m",
    b"\x1b[?1049h\x1b[2J\x1b[H\x1b[?25l\x1b[?2004h\x1b[?1000;1006h\x1b[5;10r\x1b[4h",
    b"\x1b7\x1b8\x1b=\x1b>\x1bM\x1bc\x1b#8\x1b(0\x1b%G\x1b F",
    b"\x1b[c\x1b[6n\x1b[?6n\x1b[>c\x1b[>q\x1b[?2026$p\x1b[14t\x1b[16t\x1b[18t\x1b[?u",
    b"\x1b[>1u\x1b[<u\x1b[=5;1u\x1b[>4;2m\x1b[2 q\x1b[3;1$r\x1b[!p",
    b"\x1b]8;;https://example.org/\xc3\xa9\x1b\\link\x1b]8;;\x07",
    b"\x1b]4;1;rgb:00/00/00\x1b\\\x1b]11;?\x07\x1b]104\x07\x1b]112\x07\x1b]133;A\x07\x1b]22;pointer\x1b\\",
    b'\x1bP$qm\x1b\\\x1bP+q544e\x1b\\\x1bP0;1;0q"1;1;1;1#0~-\x1b\\',
    b"\x1b_Ga=T,f=100,t=d,m=1;aGVsbG8=\x1b\\\x1b_Gm=0;aGVsbG8=\x1b\\\x1b_Ga=d\x1b\\",
    b"\xc2\x9b31m\xc2\x85\xc2\x9d8;;\xc2\x9c",
    b"lone \xff\xfe \xe9 bytes",
    b"\x05",
]
"""What stays on the screen, or asks the terminal what a program needs to draw."""

REFUSED = {
    "clipboard": [b"\x1b]52;c;aGVsbG8=\x07", b"\x1b]52;c;?\x1b\\", b"\x1b]5522;type=read\x1b\\"],
    "directory": [b"\x1b]7;file://host/tmp\x1b\\"],
    "iterm2": [b"\x1b]1337;File=inline=0:aGVsbG8=\x07", b"\x1b]1337;CurrentDir=/\x07"],
    "notifications": [
        b"\x1b]9;hello\x07", b"\x1b]9;4;1;50\x1b\\", b"\x1b]99;i=1;hello\x1b\\", b"\x1b]777;notify;a;b\x07",
    ],
    "print": [b"\x1b[5i", b"\x1b[?5i", b"\x1b[i", b"\x1b[0i", b"\x1b[4i"],
    "window": [
        b"\x1b[2t", b"\x1b[3;0;0t", b"\x1b[4;1;1t", b"\x1b[8;1;1t", b"\x1b[9;1t", b"\x1b[10;1t", b"\x1b[11t",
        b"\x1b[13t", b"\x1b[15t", b"\x1b[19t", b"\x1b[48t", b"\x1b[>2t", b"\x1b[132$|", b"\x1b[99*|", b"\x1b[?40h",
        b"\x1b[?040h", b"\x1b[?40:h", b"\x1b[?1043h", b"\x1b[22;0;3t",
    ],
    "": [
        b"\x1b[20t", b"\x1b[21t", b"\x1b[021t", b"\x1b[?38h", b"\x1b[?46h", b"\x1b[1;1;1;1;1;9*y", b"\x1b%@",
        b"\x1b%/G", b"\x1b]052;c;x\x07", b"\x1b]3;WM_NAME=x\x07", b"\x1b]46;/tmp/log\x07", b"\x1b]50;?\x07",
        b"\x1b]51;E\x07", b"\x1b]633;E;rm\x07", b"\x1b]697;x\x07", b"\x1b]9;7;cmd\x07", b"\x1b]9;9;/\x07",
        b"\x1b]9;04;x\x07", b"\x1b]777;perl;x\x07", b"\x1b]lname\x07", b"\x1b]Lname\x07", b"\x1b];x\x07",
        b"\x1b]5113;ac=send\x1b\\", b"\x1bP0;1|17/726d\x1b\\", b"\x1bP1;1;0{x\x1b\\", b"\x1bP1!z00\x1b\\",
        b"\x1bP+p544e=00\x1b\\", b"\x1bP1000p%exit\x1b\\", b"\x1bPtmux;x\x1b\\",
        b"\x1bP@kitty-cmd{}\x1b\\", b"\x1bP\x1b\\", b"\x1b_Gt=f,a=T;L2V0Yy9wYXNzd2Q=\x1b\\",
        b"\x1b_Ga=T,t=t;x\x1b\\", b"\x1b_Gt=s;x\x1b\\", b"\x1b_Gt=d,t=f;x\x1b\\", b"\x1b_G a=T;x\x1b\\",
        b"\x1b_title\x1b\\", b"\x1b^x\x1b\\", b"\x1bXx\x1b\\", b"\x1bkname\x1b\\", b"\x1bkname\x07",
    ],
}  # fmt: skip
"""What acts elsewhere, by the kind that allows it; ``""``: nothing does."""

INNER = [case for cases in REFUSED.values() for case in cases]


def c1(data: bytes, *, utf8: bool) -> bytes:
    """``data`` with its introducers and terminators as C1 controls, in UTF-8 or as single bytes."""
    encoding = "utf-8" if utf8 else "latin-1"
    return re.sub(rb"\x1b([PX\[\\\]^_])", lambda match: chr(match[1][0] + 0x40).encode(encoding), data)


@pytest.mark.parametrize("data", SCREEN)
@pytest.mark.parametrize("cut", [1, 2, 7, 1000])
def test_what_stays_on_the_screen_passes_byte_for_byte(data: bytes, cut: int) -> None:
    assert passed(data, cut=cut) == data


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_what_acts_elsewhere_passes_only_where_it_is_allowed(kind: str, cut: int) -> None:
    for case in REFUSED[kind]:
        for data in (case, c1(case, utf8=True), c1(case, utf8=False)):
            assert passed(b"before " + data + b"behind", cut=cut) == b"before behind", data
            everything = passed(data, *KINDS, cut=cut)
            # what a mode that terminals' users choose is now is kept first
            assert (everything.removeprefix(b"\x1b[?1043s") == data) is bool(kind), data
            if kind:
                assert passed(data, kind).removeprefix(b"\x1b[?1043s") == data
                assert passed(data, *KINDS.keys() - {kind}) == b""


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize(
    "around",
    [b"\x1b]0;", b"\x1b]8;;", b"\x1bPq", b"\x1b_Gf=1;", b"\x1b[", b"\x1b[?", b"\x1b", b"\x1bP$q", b"\xe2", b"\xc2",
     b"\xf0\x9f", b"\x1b[5\xc3\xa9", b"\x1b\r", b"\x1b(", b"\x1b]52;", b"\x1bX", b"\x9d0;", b"\xc2\x9f"],
)  # fmt: skip
def test_nothing_hides_in_what_passes(inner: bytes, around: bytes) -> None:
    """Behind the beginning of anything else, in every form, cut anywhere: its introducer begins it all the same."""
    for data in (inner, c1(inner, utf8=True), c1(inner, utf8=False)):
        for cut in (1, 1000):
            out = passed(around + data, cut=cut)
            # nor does the payload stand behind an introducer that passed
            assert not re.search(rb"\x1b(?:\]52|\[2?[0-9]*[it]|\[\?(?:38|40|46)h|%@)", out), out


def test_controls_within_a_control_sequence_do_not_hide_it() -> None:
    assert passed(b"\x1b[\r5\n\x00i\x1b[2\x7f1t\x1b[?4\x000h") == b""
    assert passed(b"\x1b[3\r1mx") == b"\x1b[3\r1mx"
    gate = Gate()
    assert gate.feed(b"\x1b[?10\r07h") == b"\x1b[?1007s\x1b[?10\r07h"
    assert gate.preferred == {1007}
    assert passed(b"\x1b[?1;40;2004h") == b"\x1b[?1;2004h"
    assert passed(b"\x1b[?3;4l") == b"\x1b[?3;4l"


def test_what_is_wrapped_for_the_terminal_around_is_refused() -> None:
    assert passed(b"\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\behind") == b"\x1b\\behind"


def test_titles_come_and_go_and_the_lowest_is_the_operators() -> None:
    gate = Gate()
    assert gate.feed(b"\x1b[23t\x1b[23;0t") == b""
    assert gate.feed(b"\x1b]2;mine\x07") == b"\x1b[22;0t\x1b]2;mine\x07"
    assert (
        gate.feed(b"\x1b[22;2t\x1b]0;more\x07\x1b[23;2t\x1b[23;2t") == b"\x1b[22;2t\x1b]0;more\x07\x1b[23;2t"
    )
    assert gate.titles == 1
    terminfo = b"\x1b[?1049h\x1b[22;0;0t", b"\x1b[?1049l\x1b[23;0;0t"  # xterm-256color's smcup and rmcup
    assert gate.feed(terminfo[0]) == terminfo[0]
    assert gate.feed(terminfo[1]) == terminfo[1]
    assert gate.feed(b"\x1b[22t" * 50).count(b"t") < 10  # terminals keep ten
    assert gate.entitle() == b""
    assert Gate().entitle() == b"\x1b[22;0t"


def test_where_nobody_answers_nothing_asks() -> None:
    asking = b"\x05\x1bZ\xc2\x9a\x1b[c\x1b[>c\x1b[5n\x1b[?6n\x1b[>q\x1b[?1$p\x1b[?u\x1b[18t\x1b[x\x1b[1$w\x1b[1\x05m"
    strings = (
        b"\x1b]11;?\x07\x1b]4;1;?\x07\x1b]22;?__current__\x07\x1bP$qm\x1b\\\x1bP+q54\x1b\\\x1b_Ga=q;x\x1b\\"
    )
    typing = b"\x1b[?1003h\x1b[?1004h\x1b[?2048h\x1b[?1000;1004h"
    assert passed(asking + strings + typing, mute=True) == b""
    assert passed(b"\x1b[?1;1002;2004h", mute=True) == b"\x1b[?1;2004h"
    shown = b"\x1b[31mred\x1b[m\x1b]0;title\x07\x1bP0q~\x1b\\\x1b]8;;x\x07"
    assert passed(shown, mute=True) == shown.replace(b"\x1b]0", b"\x1b[22;0t\x1b]0")


def test_what_was_asked_is_known() -> None:
    gate = Gate()
    gate.feed(b"plain \x1b[31mred\x1b[0m \xe2\x80\xa6\r\n\x1b[H\x1b[2J\x1b[?25l")
    assert not gate.asked
    for question in (
        b"\x05",
        b"\x1b[c",
        b"\x1b[6n",
        b"\x1b[?1003h",
        b"\x1b]11;?\x07",
        b"\x1bP$qm\x1b\\",
        b"\x1bZ",
    ):
        gate = Gate()
        gate.feed(question)
        assert gate.asked, question


PIECES = st.one_of(
    st.sampled_from([*SCREEN, *INNER]),
    st.sampled_from(
        [b"\x1b", b"\x1b\\", b"\x9c", b"\xc2\x9c", b"\x07", b"\x18", b"\x1a", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_G",
         b"52;", b"5i", b"\xe2\x80", b"\xc2", b"\x9b", b"\xc2\x9b", b"\x9d", b"?", b";", b"t", b"h"]
    ),
    st.binary(max_size=6),
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map(b"".join), st.randoms(use_true_random=False))
@example(b"\x1b]0;\xe2\x80", random.Random(1))
def test_where_the_stream_is_cut_changes_nothing(data: bytes, chance: random.Random) -> None:
    gate, out, at = Gate(), b"", 0
    while at < len(data):
        step = chance.randrange(1, 9)
        out += gate.feed(data[at : at + step])
        at += step
    whole = Gate()
    assert out == whole.feed(data)
    assert (gate.touched, gate.titles, gate.preferred, gate.midway) == (
        whole.touched, whole.titles, whole.preferred, whole.midway,
    )  # fmt: skip


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_what_passed_passes_again(data: bytes) -> None:
    """So a terminal that reads as the gate does finds nothing in it that is refused."""
    once = passed(data)
    again = Gate()
    again.titles = 1  # what was pushed once is not pushed twice
    assert again.feed(once + b" ") == once + b" "
    for forbidden in (b"\x1b]52", b"\x1b[5i", b"\x1b]1337", b"\x1bPtmux", b"\x1b%@"):
        assert forbidden not in once


def test_what_is_held_back_is_bounded() -> None:
    for endless in (b"\x1b[" + b"1;" * 100_000, b"\x1b" + b" " * 100_000, b"\x1b]" + b"5" * 100_000,
                    b"\x1b_G" + b"a=b," * 100_000, b"\x1b[" + b"\r" * 100_000):  # fmt: skip
        gate = Gate()
        for at in range(0, len(endless), 4096):
            gate.feed(endless[at : at + 4096])
        assert gate.held <= 9000
    assert passed(b"\x1b[" + b"1;" * 5000 + b"mbehind") == b"behind"


@pytest.mark.parametrize("names", [["clipboard"], ["clipboard,window", "print"], []])
def test_kinds_by_name(names: list[str]) -> None:
    assert allowed(names, "here") == frozenset(",".join(names).split(",")) - {""}


def test_a_kind_that_is_none() -> None:
    with pytest.raises(InvalidRequest, match="--allow: there is nothing called 'clipbord'"):
        allowed(["clipbord"], "--allow")


def test_the_docs_name_every_kind() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"| `{kind}` |" in text
