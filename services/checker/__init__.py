"""The checker: inspects images, each in a process that can harm nothing, and keeps the reports."""
