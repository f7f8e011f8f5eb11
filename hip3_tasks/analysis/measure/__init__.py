"""Sums over follow-ups: by group, horizon and cluster."""
