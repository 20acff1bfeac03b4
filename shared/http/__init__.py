"""What every service's read-only HTTP queries have in common."""
