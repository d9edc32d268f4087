"""The receiver of the agents' telemetry: OTLP over HTTP with JSON, on loopback. Knows no database."""
