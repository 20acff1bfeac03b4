"""Pure: how a report is put together."""
