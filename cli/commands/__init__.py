"""One command, or one group of commands, a file; :mod:`cli.main` imports only the one that is asked for."""
