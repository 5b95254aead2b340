"""Any causal model that transformers loads, where our own forward does not know its family.

Start reading at ``transformers_model``.
"""
