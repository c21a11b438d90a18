"""The store: tables, queries and migrations, the same for SQLite and PostgreSQL."""
