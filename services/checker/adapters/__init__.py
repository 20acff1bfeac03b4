"""What the checker does to files, processes and its database."""
