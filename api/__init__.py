"""The API: REST over the store, the gateway for HTTP agents, and the page."""
