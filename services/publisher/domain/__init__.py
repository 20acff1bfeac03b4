"""What publisher decides, as pure functions of values: no input, no output, no clock."""
