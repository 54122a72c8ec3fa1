"""Keys in a relational database: SQLAlchemy Core, one schema, migrated by Alembic."""
