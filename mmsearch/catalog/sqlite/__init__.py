"""The catalog in one file of SQLite: what that engine does in its own way."""
