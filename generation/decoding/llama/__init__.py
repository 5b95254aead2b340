"""The accelerated core: networks of the Llama family, run by the kernels next door.

``shape``            which configurations these are, and their sizes
``packing``          weights as the kernels read them, int8 or float32; ``packed_file`` keeps them in the user's cache
``native``           the kernels, compiled on first use
``network``          a forward over trees of tokens
``cache``            keys and values of one sequence; ``prefix_cache`` keeps those of sequences that have ended
``scored_tree``      tokens that were scored behind a sequence and not committed
``parallel_prompt``  guesses by trained prompt tokens, in the same forward
``model``            the ``LanguageModel`` made of these; ``together`` is it for several threads

Knows no text, no prompt and no file format but its own. Start reading at ``model.LlamaModel``.
"""
