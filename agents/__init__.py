"""The agents: one file a kind of host, over the shared spool, link and heartbeat.

Python 3.9 or newer, paho-mqtt alone.
"""
