"""The nouns of tokentop by subject: frozen values that pass between rooms and threads.

Money is an integer of nano-dollars (`*_nusd`), time is UTC epoch milliseconds (`*_ms`).
An empty string means "the log does not say"; `None` means "unknown" where 0 would be a claim.
Pure: no I/O, no clock.
"""
