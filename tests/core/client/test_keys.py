"""What ``sandtop type`` sends for a key is what the console's keyboard sends for it."""

from __future__ import annotations

from itertools import combinations

import pytest

from sandtop.core.client.session.keys import key_bytes
from sandtop.core.errors import InvalidRequest
from sandtop.core.terminal import Emulator
from sandtop.tui.widgets.keys import encode_key

NAMED = (
    "up", "down", "left", "right", "home", "end", "insert", "delete", "pageup", "pagedown",
    *(f"f{number}" for number in range(1, 25)),
)  # fmt: skip
MODIFIED = [tuple(some) for count in range(4) for some in combinations(("shift", "alt", "ctrl"), count)]


@pytest.mark.parametrize("modifiers", MODIFIED, ids="-".join)
def test_both_send_the_same(modifiers: tuple[str, ...]) -> None:
    modes = Emulator(80, 24).modes
    for name in NAMED:
        typed = key_bytes("-".join([*modifiers, name]))
        assert typed == encode_key("+".join([*modifiers, name]), None, modes), name
    for letter in "az":
        if "shift" not in modifiers:
            typed = key_bytes("-".join([*modifiers, letter]))
            assert typed == encode_key("+".join([*modifiers, letter]), letter, modes)


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("enter", b"\r"), ("esc", b"\x1b"), ("escape", b"\x1b"), ("shift-tab", b"\x1b[Z"), ("alt-enter", b"\x1b\r"),
        ("ctrl-space", b"\x00"), ("ctrl-/", b"\x1f"), ("-", b"-"), ("ctrl-up", b"\x1b[1;5A"), ("ctrl-c", b"\x03"),
        ("ctrl-pagedown", b"\x1b[6;5~"), ("shift-f1", b"\x1b[1;2P"),
    ],
)  # fmt: skip
def test_names_of_keys(key: str, data: bytes) -> None:
    assert key_bytes(key) == data


@pytest.mark.parametrize("key", ["", "ctrl-enter", "hyper-a", "f25", "ctrl-", "shift-enter"])
def test_a_name_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match="there is no key"):
        key_bytes(key)


def test_a_mode_changes_the_cursor_keys_alone() -> None:
    assert key_bytes("up", application_cursor=True) == b"\x1bOA"
    assert key_bytes("f1", application_cursor=True) == b"\x1bOP"
