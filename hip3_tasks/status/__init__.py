"""The state of a system for `hip3 status`, `hip3 up` and the page, read from Redis and the ends of the files."""
