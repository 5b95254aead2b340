"""The decoding core: models, tokens and the loop that writes. torch lives here.

Knows nothing of Jedi, of files that are edited, or of where weights come from. Start reading at
``generator.Generator.stream``; ``loading.load_model`` makes the model it runs.
"""
