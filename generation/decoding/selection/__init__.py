"""Long sequences: attention sees the part of them that matters, at positions the model was trained for.

Source: TokenSelect (arXiv 2411.02886). Our own kernels let every row choose for itself, which was measured to be better
(docs/performance.md); on a GPU a list is chosen for several tokens, as there.

``settings``  what can be set
``rows``      what a row of our own kernels sees, in plain torch
``reference`` what is chosen for a list, in plain torch
``votes_gpu`` the votes for a list as Triton kernels
``scorer``    a sequence that works by a list; its rows are ``gpu.long_rows``
``probe``     what a model makes of a long prompt, for ``bench long``

Start reading at ``rows.attend``, and for lists at ``scorer.SelectingScorer``.
"""
