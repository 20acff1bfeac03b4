"""SQL of the launcher."""
