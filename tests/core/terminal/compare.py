"""Comparing emulators, for the tests and the fuzzer."""

from __future__ import annotations

import dataclasses

from sandtop.core.terminal import Emulator


def differing(left: Emulator, right: Emulator) -> list[str]:
    """Names of the parts in which two emulators differ: short, where the whole states would fill pages."""
    one, other = left.state(), right.state()
    return [
        field.name
        for field in dataclasses.fields(one)
        if getattr(one, field.name) != getattr(other, field.name)
    ]


def again(emulator: Emulator, scrollback: int) -> Emulator:
    """Another one, made from a dump."""
    copy = Emulator(emulator.columns, emulator.rows, scrollback)
    copy.feed(emulator.dump())
    return copy
