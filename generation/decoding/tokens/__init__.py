"""Tokens as text and as probabilities: ids to bytes and back, names that begin in the middle of one, sampling.

Knows a model by its protocol only. Start reading at ``tokenizer.load_tokenizer``.
"""
