"""The regular expressions of alert rules find what Python's do, and take a time that no text can make long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtop.core.rules.pattern import Pattern, PatternError

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", r"\.", "^", "$", "(?:ab|b)", "[a-c1]"])
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{1,}", "{0,}", "{0}", "*?"])


def quantified(atom: str, repeat: str) -> str:
    return atom if atom in "^$" else atom + repeat


def grouped(one: str, two: str, repeat: str) -> str:
    return f"({one}|{two}){repeat}"


PIECES = st.lists(st.builds(quantified, ATOMS, REPEATS), max_size=5).map("".join)
GROUPS = st.builds(grouped, PIECES, PIECES, REPEATS)
PATTERNS = st.lists(st.one_of(PIECES, GROUPS), max_size=3).map("".join)


@settings(max_examples=600, deadline=None)
@given(PATTERNS, st.text("ab1. ", max_size=8))
def test_it_finds_what_python_finds(text: str, where: str) -> None:
    assert Pattern(text).found_in(where) == (re.search(text, where) is not None)


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("No space left", "cp: No space left on device", True),
        ("(?i)ERROR", "an error", True),
        ("(?i)error", "an ERROR", True),
        (r"exit [1-9]\d*$", "exit 12", True),
        (r"exit [1-9]\d*$", "exit 0", False),
        ("^$", "", True),
        ("^a|b$", "xxb", True),
        ("größe", "die größe", True),
        (r"[]x]", "]", True),
        (r"[\]-]", "-", True),
        (r"a\{1\}", "a{1}", True),
    ],
)
def test_some_that_people_write(text: str, where: str, found: bool) -> None:
    assert Pattern(text).found_in(where) is found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(", "a ( without its )"),
        ("(a", "without its )"),
        ("a)", "without its ("),
        ("*a", "nothing stands before *"),
        ("a{x}", "must be {2}"),
        ("a{200}", "at most 100"),
        ("a{3,2}", "smaller number first"),
        ("[a", "it ends too early"),
        ("[z-a]", "wrong way round"),
        (r"(a)\1", r"\1 is not known"),
        (r"\b", r"\b is not known"),
        ("(?=a)", "only (?:"),
        ("(a{50}){50}", "too large"),
        ("a\\", "it ends too early"),
    ],
)
def test_what_is_wrong_with_a_pattern(text: str, said: str) -> None:
    with pytest.raises(PatternError, match=re.escape(said)):
        Pattern(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("(a+)+$", "a" * 2000 + "b"),
        ("(a|aa)+$", "a" * 2000 + "b"),
        ("(.*a){9}x", "ab" * 1000),
        ("(a?){90}a{90}", "a" * 2000),
        ("(?:[ab]*a[ab]{40})x", "abbab" * 400),
    ],
)
def test_no_text_makes_it_slow(text: str, where: str) -> None:
    pattern = Pattern(text)
    begun = time.process_time()
    pattern.found_in(where)
    assert time.process_time() - begun < 5
