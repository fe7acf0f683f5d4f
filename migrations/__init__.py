"""Alembic migrations. `store.db.upgrade_database(url)` runs them; a new one, against a database at head:

DATABASE_URL=postgresql://... alembic -c migrations/alembic.ini revision --autogenerate -m "what changes"
"""
