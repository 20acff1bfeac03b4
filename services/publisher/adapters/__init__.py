"""Publisher's tables: plain SQL, one module an aggregate."""
