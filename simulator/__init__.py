"""A venue with Hyperliquid's own shape: a market model and a protocol server that know nothing of each other.

`model` says what happens and when (pure, seeded, virtual time), `server` speaks the wire, `pacing` joins them
on real time. Tests script the server without the model.
"""
