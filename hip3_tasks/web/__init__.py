"""The live page: one poll twice a second serves all viewers."""
