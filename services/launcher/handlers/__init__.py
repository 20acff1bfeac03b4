"""What the launcher does with events and requests."""
