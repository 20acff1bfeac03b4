"""What it costs: ratios against the raw client or a peer, measured in one run. `make bench` runs all and writes the table."""
