"""Whether generated bodies pass the tests of their repository. Start reading at ``pass_at_1``."""
