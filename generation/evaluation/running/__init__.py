"""A run: which configurations generate which tasks, and the records they leave. Start reading at ``runner``."""
