"""A check report as people and tools read it: an HTML page, a bill of materials. Nothing here judges."""
