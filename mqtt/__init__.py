"""The MQTT 5 session of a service that must be fast: an `asyncio.Protocol` over the sans-IO codec `mqtt5`."""
