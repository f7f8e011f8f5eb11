"""Plotly parts and number formats, shared by report and page."""
