"""The accelerated core: networks of the Llama family, run by the kernels next door.

``shape``   which configurations these are, and their sizes
``packing`` weights as the kernels read them, int8 or float32; ``packed_file`` keeps them in the user's cache
``native``  the kernels, compiled on first use
``cache``   keys and values of one sequence
``model``   the ``LanguageModel`` made of these

Knows no text, no prompt and no file format but its own. Start reading at ``model.LlamaModel``.
"""
