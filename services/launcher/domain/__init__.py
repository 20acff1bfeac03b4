"""Rules of the launcher: pure, no I/O."""
