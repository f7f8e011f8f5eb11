"""Were the signals right? What the files say, at the size of real data."""
