"""What the services have in common: contracts and plumbing. Knows no service."""
