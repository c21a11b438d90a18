"""Sigma rules over stored events: converted once, by a command, to plain data; matched from that data."""
