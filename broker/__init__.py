"""The broker: its configuration, its rights, its start. Mosquitto where it is installed, else the embedded one."""
