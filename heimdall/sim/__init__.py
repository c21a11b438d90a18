"""A fleet of real MQTT 5 sessions, a script of faults, and whether what should have been noticed was."""
