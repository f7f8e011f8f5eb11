"""`hip3 probe`: measures a venue from outside, and compares it with what this project assumes."""
