"""The language server: the only code that knows the Language Server Protocol.

``generation`` must not import it, and nothing here imports torch when it is imported. Start reading at
``serve.serve`` and ``server.MemberwiseServer``; what editors see beyond the standard is in ``extensions``.
"""
