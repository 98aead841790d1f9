"""The catalog in a schema of PostgreSQL: what that engine does in its own way."""
