"""The console: the Textual front end."""
