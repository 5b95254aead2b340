"""How good Memberwise is on real repositories: which functions to try, what a body is worth, what the tool knows.

Start reading at ``tasks`` (what is measured on) and ``runner`` (how a run goes). ``validity`` judges a body with
pylint, ``tool_bench`` measures the repository tool alone, ``report`` turns records into tables. Nothing in here is
used when a function is generated for a person.
"""
