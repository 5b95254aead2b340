"""The command ``memberwise``: parse, call, print. One module per sub-command; ``main`` puts them together."""
