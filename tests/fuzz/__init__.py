"""The fuzzer: small images of every format, changed at random where the inspector reads them (`make fuzz`, docs/fuzzing.md)."""
