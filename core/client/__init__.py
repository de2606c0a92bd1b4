"""The SDK's client: one protocol without I/O, under it a blocking socket (the CLI) or anyio (everyone else)."""
