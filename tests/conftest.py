"""What holds for every property test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code under test: no example has a deadline, no strategy a speed.
settings.register_profile(
    "tokentop", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("tokentop")
