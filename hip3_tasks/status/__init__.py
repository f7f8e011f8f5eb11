"""How a system stands, for `hip3 status` and `hip3 up`: what Redis, the feed and the tails of the files say."""
