"""What a machine printed, made fit for a person's terminal."""

from __future__ import annotations


def last_lines(raw: bytes, lines: int) -> str:
    """The last ``lines`` non-blank lines of ``raw``, oldest first, with control characters neutralised.

    The bytes come from a guest, or from the program that runs it, which it may have taken over. So an escape sequence
    among them must not reach a terminal, nor a line be endless (200 characters are kept of each).
    """
    kept = [line for piece in raw.decode(errors="replace").splitlines() if (line := neutral(piece).rstrip())]
    return "\n".join(kept[-lines:] if lines > 0 else [])


def neutral(line: str) -> str:
    """``line`` with every character that is not printable replaced, and cut at 200 characters."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)[
        :200
    ]


def last_match(text: str, words: str) -> str | None:
    """The last line of ``text`` with ``words`` in it, from those on."""
    for line in reversed(text.splitlines()):
        if words in line:
            return line[line.index(words) :]
    return None
