"""What the catalog does with events."""
