"""`hip3 up`: everything on one machine, and nothing left behind."""
