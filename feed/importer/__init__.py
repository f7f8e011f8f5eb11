"""Recordings of a venue by others, turned into a kept tape: `hip3 import`."""
