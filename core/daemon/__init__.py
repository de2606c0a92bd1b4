"""The daemon: one trio process per user that owns the machines and answers its clients."""
