"""The host side, headless: machines, the channel, sessions, the daemon, the client, the CLI."""
