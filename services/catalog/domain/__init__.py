"""Rules of the catalog: pure functions of what events say."""
