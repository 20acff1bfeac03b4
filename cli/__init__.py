"""The command line ``image-commons``: a client of the contracts, the read-only HTTP and the local stack."""

__version__ = "0.1.0"
