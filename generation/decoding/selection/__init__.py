"""Long sequences: attention sees the part of them that matters, at positions the model was trained for.

Source: TokenSelect (arXiv 2411.02886), reimplemented.

``reference`` what is chosen, in plain torch
``votes_gpu`` the votes as Triton kernels
``long_rows`` all keys and values of a long sequence, and the short list of them that attention runs over
``scorer``    a sequence that works so

Start reading at ``reference.choose`` and ``scorer.SelectingScorer``.
"""
