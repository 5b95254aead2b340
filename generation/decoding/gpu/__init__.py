"""The Llama family on a GPU: another network below the sequences, drafts, prefix reuse and batching of ``llama``.

``slots``      keys and values of all sequences in one tensor; a sequence holds pages of it
``batch``      what one forward is about, as numbers in buffers whose sizes and addresses stay
``weights``    a network of transformers as the tensors that are multiplied with
``reference``  the two operations that torch lacks, in plain torch: any device, slow
``kernels``    the same as Triton kernels
``compute``    a forward made of these
``long_rows``  where attention sees a chosen part of a long sequence
``graphs``     forwards by their sizes, recorded as CUDA graphs
``network``    the surface that ``llama.model.LlamaModel`` works with
``subjects``   models that ``memberwise bench gpu`` measures; ``measures`` how

Knows no text, no prompt and no files. Start reading at ``network.TorchNetwork``.
"""
