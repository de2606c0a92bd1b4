"""Finding the session that somebody names by its id, or by a prefix of it that no other id has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandtop.core.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandtop.core.sessions.session import Session


def by_reference(sessions: Mapping[str, Session], reference: str, sandbox: str) -> Session:
    """The one of ``sessions``, a mapping by id, whose id is or begins with ``reference``.

    Raises `NotFound` for none and `InvalidRequest` for several; both name ``sandbox``.
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
