"""A Redis transport for kombu that loses and doubles no message. It knows nothing of markets."""
