"""The command line ``image-commons``: a client of the contracts, the read-only HTTP and the local stack."""
