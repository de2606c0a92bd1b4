"""How people name sessions: by the id, or by as much of its beginning as only it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.sessions.session import Session


def by_reference(sessions: Mapping[str, Session], reference: str, sandbox: str) -> Session:
    """The one of ``sessions``, by id, with this id, or the only one whose id begins with it.

    Raises `NotFound`, `InvalidRequest`, which name ``sandbox``.
    """
    if (found := sessions.get(reference)) is not None:
        return found
    matches = [session for key, session in sessions.items() if key.startswith(reference)] if reference else []
    if len(matches) > 1:
        raise InvalidRequest(
            f"{len(matches)} sessions of {sandbox} begin with {reference}",
            sandbox=sandbox,
            hint="give more of the id",
        )
    if not matches:
        raise NotFound(
            f"no session {reference[:80]} in {sandbox}",
            sandbox=sandbox,
            hint=f"sandtop sessions {sandbox} lists them",
        )
    return matches[0]
