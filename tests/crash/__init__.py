"""Real processes, real broker, real database, killed with SIGKILL at named points and at random."""
