"""Guesses of what comes next, and how many of them are worth a forward. Start reading at ``drafting``."""
