"""The loop that writes: where the tool is asked, which name is chosen, what is streamed, when a text ends.

Knows a model and a tool by their protocols only. Start reading at ``generator.Generator.stream``.
"""
