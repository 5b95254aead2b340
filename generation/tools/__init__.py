"""The repository tool: which names can stand at a position of a file that is being written.

The only package that imports Jedi, and it does so in worker processes only (``worker``). Knows nothing of models and
tokens. Start reading at ``jedi_tool.JediTool``.
"""
