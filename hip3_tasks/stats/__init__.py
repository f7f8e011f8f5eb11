"""Bootstrap statistics on numpy arrays, shared by report and page."""
