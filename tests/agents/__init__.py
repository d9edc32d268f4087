"""Recorded logs of real clients, builders of synthetic ones, and the harness that reads both."""

import pytest

pytest.register_assert_rewrite("tests.agents.harness")
