"""A venue with Hyperliquid's own shape, made of a market model and a protocol server that know nothing of each other.

`model` says what happens and when (pure, seeded, virtual time), `server` speaks the wire, `pacing` joins the two
on real time. Tests script the server without the model.
"""
