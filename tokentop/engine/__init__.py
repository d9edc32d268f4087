"""Facts to state: rates, the session tree, statuses, the forecast, alerts and the snapshot. Pure."""
