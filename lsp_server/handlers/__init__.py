"""One module per method of the protocol, or per group that belongs together; each registers what it handles."""
