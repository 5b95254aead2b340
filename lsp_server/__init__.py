"""Where the language server will live; a later release brings it, and there is no server here yet.

It will be the only code that knows the Language Server Protocol. ``generation`` must not import it.
"""
