"""Where what must not be lost is kept: SQLite, one writing thread, a transactional outbox."""
