"""A service's database: pool, transaction, migrations."""
