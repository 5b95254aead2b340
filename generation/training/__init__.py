"""The offline phase: a corpus of repositories becomes an adapter that knows when to ask the tool.

``corpus`` gathers text, ``functions`` and ``marking`` add what is to be learned, ``examples`` turns it into token
sequences, ``finetune`` trains, ``adapter_folder`` writes what ships. May use ``evaluation``, never the reverse.
"""
