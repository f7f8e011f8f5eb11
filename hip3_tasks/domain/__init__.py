"""The domain: prices, edges, signals and follow-ups. Pure: no queue, server, socket, clock, environment or file."""
