"""The Alembic environment: every catalog is made and upgraded by what lies here."""
