"""The decoding core: the loop that writes, and the models that it writes with. torch lives here.

Knows nothing of Jedi, of files that are edited, or of where weights come from.

``loop``                      asks, chooses, streams
``tokens``                    tokens as text and as probabilities
``drafts``                    guesses that a forward verifies
``loading``                   a model folder becomes one of these:
``llama``                     our own forward on the processor; its C++ is ``kernels``
``gpu``                       the same network on a GPU
``selection``                 what either sees of a long sequence
``through_transformers``      any other model
``sequence``, ``step_costs``  what all of them share: bookkeeping and checks, what a forward costs here
``rivals``                    what we are measured against

Start reading at ``loop.generator.Generator.stream``; ``loading.load_model`` makes the model it runs.
"""
