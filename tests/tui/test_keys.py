"""Keys as xterm sends them."""

from __future__ import annotations

import dataclasses

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key

from sandtop.core.terminal import Emulator, Modes
from sandtop.tui.widgets.keys import MOVE, PRESS, RELEASE, encode_key, encode_mouse, encode_paste

PLAIN = Emulator().modes
APPLICATION = dataclasses.replace(PLAIN, application_cursor=True)


@pytest.mark.parametrize(
    ("key", "character", "sent"),
    [
        ("a", "a", b"a"), ("A", "A", b"A"), ("é", "é", "é".encode()), ("space", " ", b" "), ("slash", "/", b"/"),
        ("enter", "\r", b"\r"), ("tab", "\t", b"\t"), ("shift+tab", None, b"\x1b[Z"), ("escape", "\x1b", b"\x1b"),
        ("backspace", "\x7f", b"\x7f"), ("ctrl+c", "\x03", b"\x03"), ("ctrl+z", "\x1a", b"\x1a"),
        ("ctrl+@", "\x00", b"\x00"), ("ctrl+space", None, b"\x00"), ("ctrl+backslash", "\x1c", b"\x1c"),
        ("ctrl+underscore", "\x1f", b"\x1f"), ("ctrl+q", "\x11", b"\x11"), ("ctrl+s", "\x13", b"\x13"),
        ("alt+a", "a", b"\x1ba"), ("alt+shift+a", "A", b"\x1bA"), ("shift+alt+a", "a", b"\x1bA"),
        ("alt+ctrl+a", None, b"\x1b\x01"), ("up", None, b"\x1b[A"), ("ctrl+right", None, b"\x1b[1;5C"),
        ("shift+left", None, b"\x1b[1;2D"), ("home", None, b"\x1b[H"), ("ctrl+shift+end", None, b"\x1b[1;6F"),
        ("delete", None, b"\x1b[3~"), ("pageup", None, b"\x1b[5~"), ("shift+delete", None, b"\x1b[3;2~"),
        ("f1", None, b"\x1bOP"), ("f5", None, b"\x1b[15~"), ("f10", None, b"\x1b[21~"),
        ("ctrl+f5", None, b"\x1b[15;5~"),
        ("f14", None, b"\x1b[1;2Q"), ("f17", None, b"\x1b[15;2~"), ("ctrl+shift+up", None, b"\x1b[1;6A"),
        ("alt+slash", None, b"\x1b/"), ("plus", "+", b"+"), ("ctrl+left_square_bracket", None, b"\x1b"),
        ("ctrl+f25", None, b""), ("super+x", "x", b"x"),
    ],
)  # fmt: skip
def test_keys(key: str, character: str | None, sent: bytes) -> None:
    assert encode_key(key, character, PLAIN) == sent


def test_cursor_keys_follow_the_mode() -> None:
    assert encode_key("up", None, APPLICATION) == b"\x1bOA"
    assert encode_key("home", None, APPLICATION) == b"\x1bOH"
    assert encode_key("ctrl+up", None, APPLICATION) == b"\x1b[1;5A"


@pytest.mark.parametrize("code", [*range(1, 27), 28, 29, 31, 127])
def test_what_a_terminal_sends_comes_out_again(code: int) -> None:
    """From the bytes of a real keyboard, through Textual's parser, to the same bytes."""
    events = [event for event in XTermParser().feed(chr(code)) if isinstance(event, Key)]
    assert [encode_key(event.key, event.character, PLAIN) for event in events] == [
        {8: b"\x7f", 10: b"\n"}.get(code, bytes([code]))
    ]


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[A",
        "\x1b[1;5C",
        "\x1b[1;2A",
        "\x1b[5~",
        "\x1b[3~",
        "\x1b[15~",
        "\x1b[24~",
        "\x1bOP",
        "\x1b[Z",
        "\x1b[1;6D",
    ],
)
def test_sequences_come_out_again(sequence: str) -> None:
    events = [event for event in XTermParser().feed(sequence) if isinstance(event, Key)]
    assert b"".join(encode_key(event.key, event.character, PLAIN) for event in events) == sequence.encode()


def test_a_paste_cannot_end_its_bracket() -> None:
    bracketed = dataclasses.replace(PLAIN, bracketed_paste=True)
    evil = "a\x1b[20\x1b[201~1~rm -rf /\nb"
    assert encode_paste(evil, bracketed) == b"\x1b[200~arm -rf /\rb\x1b[201~"
    assert encode_paste("a\r\nb", PLAIN) == b"a\rb"


def mouse(**modes: str) -> Modes:
    return dataclasses.replace(PLAIN, **modes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_the_mouse_speaks_as_asked() -> None:
    sgr = mouse(mouse="drag", mouse_encoding="sgr")
    assert encode_mouse(PRESS, 1, 4, 2, 0, sgr) == b"\x1b[<0;5;3M"
    assert encode_mouse(RELEASE, 1, 4, 2, 0, sgr) == b"\x1b[<0;5;3m"
    assert encode_mouse(MOVE, 1, 5, 2, 16, sgr) == b"\x1b[<48;6;3M"
    assert encode_mouse(MOVE, 0, 5, 2, 0, sgr) == b""
    assert encode_mouse(PRESS, 64, 0, 0, 0, sgr) == b"\x1b[<64;1;1M"
    assert encode_mouse(PRESS, 1, 0, 0, 0, mouse(mouse="click", mouse_encoding="")) == b"\x1b[M !!"
    assert encode_mouse(RELEASE, 1, 0, 0, 0, mouse(mouse="click", mouse_encoding="")) == b"\x1b[M#!!"
    assert encode_mouse(PRESS, 1, 300, 0, 0, mouse(mouse="click", mouse_encoding="")) == b""
    assert encode_mouse(PRESS, 1, 4, 2, 0, mouse(mouse="click", mouse_encoding="urxvt")) == b"\x1b[32;5;3M"
    assert encode_mouse(MOVE, 0, 5, 2, 0, mouse(mouse="motion", mouse_encoding="sgr")) == b"\x1b[<35;6;3M"
    assert encode_mouse(PRESS, 1, 4, 2, 0, PLAIN) == b""
