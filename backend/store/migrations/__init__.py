"""Alembic's migrations. Run by `Database.upgrade`, never by hand."""
