"""SQL of the catalog."""
