"""Databases that an operator loads: a folder each, with a manifest and an index made from the upstream's file."""
