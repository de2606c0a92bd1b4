"""What errors tell people."""

from __future__ import annotations

import errno

import pytest

from sandtop.core.errors import SpawnError, from_wire


@pytest.mark.parametrize(
    ("stage", "number", "status", "line"),
    [
        ("exec", errno.ENOENT, 127, "it did not run (in box)"),
        ("exec", errno.EACCES, 126, "it did not run (in box)"),
        ("user", 0, 125, "it did not run (in box: 'sandtop exec box -- cat /etc/passwd' lists the users)"),
        ("cwd", errno.ENOENT, 125, "it did not run (in box: 'sandtop exec box -- mkdir -p DIR' makes it)"),
        ("tty", errno.EIO, 125, "it did not run (in box)"),
    ],
)
def test_a_program_that_never_ran_says_where_and_what_to_do(
    stage: str, number: int, status: int, line: str
) -> None:
    error = SpawnError("it did not run", stage=stage, errno=number, sandbox="box")
    assert (error.exit_status, str(error)) == (status, line)
    assert str(from_wire(error.to_wire())) == line
