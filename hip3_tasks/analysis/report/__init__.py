"""The report: built, printed, exported and as a page."""
