"""What pylint says of a body in its file. Start reading at ``verdicts``."""
