"""The regional read model: who sees which image where. Consumes image events, answers queries over HTTP."""
