"""Text a model reads and writes: marked text, and the prompt that leads up to a hole in a file.

Knows neither a model, a tokenizer, Jedi nor a disk: everything here is a pure function of text and plain data.
Start reading at ``prompt.build_prompt``; ``marked_text`` stands alone.
"""
