"""Numbers and pages from scores. Start reading at ``tables``."""
