"""What can be said about Python source text without Jedi and without a model. Standard library only.

Start reading at ``functions`` (where a body is), ``lexer`` (what is open at a position) or ``files``.
"""
