"""What a generated body is worth against the true one. Start reading at ``scores``.

``dependencies`` and ``published`` count what of the repository it uses, ``similarity`` compares text, ``intervals``
adds up over tasks.
"""
