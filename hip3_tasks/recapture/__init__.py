"""Publish captures of signals again."""
