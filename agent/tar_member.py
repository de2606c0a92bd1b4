"""Limits on an archive's headers, since tarfile reads headers of any length and accepts any number in them."""

from __future__ import annotations

import math
import tarfile as tars
from tarfile import HeaderError, ReadError, TarFile, TarInfo

TYPE_CHECKING = False  # see wire/frames.py
if TYPE_CHECKING:
    from typing import Final, Self, cast
else:

    def cast(_type: object, value: object) -> object:
        """As in typing, which takes long to import."""
        return value


_EXTENSIONS: Final = (
    tars.XHDTYPE, tars.XGLTYPE, tars.SOLARIS_XHDTYPE, tars.GNUTYPE_LONGNAME, tars.GNUTYPE_LONGLINK,
)  # fmt: skip
_BROKEN: Final = ("InvalidHeaderError", "TruncatedHeaderError")
_MOST_EXTENSION: Final = 1 << 20
"""Bytes of an extension header, which goes before a member's own: a name has at most 4 KiB, a map of holes some 30
bytes a hole."""
_MOST_EXTENTS: Final = 1 << 20
_MOST_DIGITS: Final = 20
_MOST_SIZE: Final = (1 << 63) - 1
_MOST_SECONDS: Final = 1 << 33
"""Later than what ext4 can keep (2446)."""


class Member(TarInfo):
    """A member whose headers are bounded."""

    @classmethod
    def fromtarfile(cls, tarfile: TarFile) -> Self:
        """As in tarfile, but raises for a wrong or truncated header, at which tarfile just ends the archive."""
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ in _BROKEN:
                raise ReadError(str(error)) from None
            raise

    def _proc_member(self, archive: TarFile) -> TarInfo:
        if self.type in _EXTENSIONS and not 0 <= self.size <= _MOST_EXTENSION:
            raise ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]

    def _proc_gnusparse_10(self, member: Member, _headers: dict[str, str], archive: TarFile) -> None:
        """The map at the head of a file's data (GNU tar's manual, "Storing Sparse Files")."""
        assert archive.fileobj is not None
        buffer, position = b"", 0

        def number() -> int:
            nonlocal buffer, position
            while (end := buffer.find(b"\n", position)) < 0 and len(buffer) - position <= _MOST_DIGITS:
                block = archive.fileobj.read(tars.BLOCKSIZE)
                if len(block) < tars.BLOCKSIZE:
                    raise ReadError("it ends in the middle of a map of holes")
                buffer, position = buffer[position:] + block, 0
            digits = buffer[position:end] if end >= 0 else b""
            if not digits.isdigit() or len(digits) > _MOST_DIGITS:
                raise ReadError("a map of holes that is none")
            position = end + 1
            return int(digits)

        count = number()
        if count > _MOST_EXTENTS:
            raise ReadError(f"a file with {count} holes")
        extents: object = [(number(), number()) for _ in range(count)]
        member.sparse = cast("bytes", extents)
        member.offset_data = archive.fileobj.tell()

    @property
    def extents(self) -> list[tuple[int, int]] | None:
        """(offset, length) of each part of a sparse file that the archive has; None for a file without holes."""
        return cast("list[tuple[int, int]] | None", self.sparse)  # bytes in typeshed, a list in tarfile

    def check(self) -> None:
        """Raises ReadError for a size or time that no file can have."""
        if not 0 <= self.size <= _MOST_SIZE:
            raise ReadError("a file of an impossible size")
        at = 0
        for offset, length in self.extents or ():
            if not length:
                continue
            if offset < at or length < 0 or offset + length > self.size:
                raise ReadError("a map of holes that makes no sense")
            at = offset + length

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds. Taken from the text of the pax header where there is one, as tarfile rounds that to a float."""
        text = str(self.pax_headers.get("mtime", ""))
        seconds, _, fraction = text.removeprefix("-").partition(".")
        if seconds.isdecimal() and len(seconds) < _MOST_DIGITS and (not fraction or fraction.isdecimal()):
            exact = min(int(seconds), _MOST_SECONDS) * 10**9 + int(f"{fraction:0<9}"[:9])
            return -exact if text.startswith("-") else exact
        mtime = self.mtime if math.isfinite(self.mtime) else 0
        return int(max(-_MOST_SECONDS, min(mtime, _MOST_SECONDS)) * 10**9)
