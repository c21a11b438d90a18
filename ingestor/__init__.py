"""The ingestor: the one writer of `logs` and `heartbeats`."""
