"""Filling the stubs of whole repositories with no person watching: what, in which order, and what came of it."""
