"""The patterns of alert rules: what they find, what is said of wrong ones, and that no text makes them slow."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from sandtop.core.rules.pattern import Pattern, PatternError


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        ("No space left", "cp: No space left on device", True),
        ("no space left", "cp: No space left on device", False),
        ("(?i)ERROR", "an error", True),
        ("(?i)größe", "GRÖSSE und GRÖßE", True),
        (r"exit [1-9]\d*$", "exit 12", True),
        (r"exit [1-9]\d*$", "exit 0", False),
        ("^$", "", True),
        ("^a|b$", "xxb", True),
        ("größe", "die größe", True),
        ("^.$", "ö", True),
        ("a.b", "a\nb", True),
        (r"[]x]", "]", True),
        (r"[\]-]", "-", True),
        (r"a\{1\}", "a{1}", True),
        (r"\bOOM\b", "an OOM, again", True),
        (r"\bOOM\b", "a ROOM", False),
        ("x", "\udcff", False),
        ("^.$", "\udcff", True),
    ],
)
def test_what_people_write(text: str, where: str, found: bool) -> None:
    assert Pattern(text).found_in(where) is found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(a", "missing ): (a"),
        ("a)", "unexpected ): a)"),
        ("*a", "no argument for repetition operator: *"),
        ("a{2000}", "invalid repetition size: {2000}"),
        ("[a", "missing ]: [a"),
        ("[z-a]", "invalid character class range: z-a"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(?=a)", "invalid perl operator: (?="),
        (r"(\pL{30}){30}", "pattern too large"),
        ("a\\", "trailing \\"),
        ("\udcff", "is no Unicode text"),
    ],
)
def test_what_is_wrong_with_a_pattern(text: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError, match=re.escape(said)) as raised:
        Pattern(text)
    assert repr(text) in str(raised.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("(a+)+$", "a" * 20_000 + "b"),
        ("(a|aa)+$", "a" * 20_000 + "b"),
        ("(.*a){9}x", "ab" * 10_000),
        ("((a?){100}){9}x", "a" * 2000),
        ("(?:[ab]*a[ab]{400})x", "abbab" * 4000),
    ],
)
def test_no_text_makes_it_slow(text: str, where: str) -> None:
    pattern = Pattern(text)
    begun = time.process_time()
    assert not pattern.found_in(where)
    assert time.process_time() - begun < 5


def test_only_who_has_a_pattern_waits_for_the_library() -> None:
    program = (
        "import sys; from sandtop.core.rules import Expression\n"
        "for when in ('exit == 1', \"output ~ 'x'\"): Expression(when); print('re2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
