"""``core.logs``: see `merged`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from sandtop.core.contract.core import Logs
from sandtop.core.contract.record import Nothing
from sandtop.core.daemon.dispatch import serves
from sandtop.core.daemon.merged import Merging
from sandtop.core.daemon.selection import Selection
from sandtop.core.errors import from_os_error
from sandtop.core.groups import unwrapped

if TYPE_CHECKING:
    from sandtop.core.daemon.connection import Connection
    from sandtop.core.daemon.dispatch import Core


@serves(Logs)
async def logs(core: Core, request: Logs, connection: Connection) -> Nothing:
    selection = Selection(core.fleet, request.sandboxes, request.labels)
    try:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.until_gone)
                await Merging(connection, selection, request).run()
                nursery.cancel_scope.cancel()
    except OSError as error:
        raise from_os_error(error, "cannot read the sessions' logs") from error
    return Nothing()
