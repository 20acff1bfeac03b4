"""The rules of publishing, one file each, numbered as in the domain's table."""
