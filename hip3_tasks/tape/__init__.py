"""The kept tape as files and frames: its pieces, their columns and rows, and the state as of any instant."""
