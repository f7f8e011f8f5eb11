"""A simulated venue with Hyperliquid's protocol: a market model and a protocol server, independent of each other.

`model` generates the events (pure, seeded, virtual time), `server` implements the protocol, `pacing` connects them in
real time. Tests drive the server without the model.
"""
