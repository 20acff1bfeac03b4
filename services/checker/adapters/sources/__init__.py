"""Where images lie: one file a scheme, each giving an open file on this machine and the version of the content in it."""
