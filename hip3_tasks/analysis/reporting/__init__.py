"""Outcomes, groups and thresholds: the report and its outputs."""
