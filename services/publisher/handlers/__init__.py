"""Publisher's use cases, one a file."""
