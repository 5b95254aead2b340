"""Tokens as text and as probabilities: ids to bytes and back, names that begin in the middle of one, sampling.

Knows no model. Start reading at ``tokenizer.load_tokenizer``.
"""
