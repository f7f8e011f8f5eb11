"""Orders of a taker by the kept tape, worked out at once or once a day."""
