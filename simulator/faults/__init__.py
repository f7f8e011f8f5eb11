"""Faults that anyone can switch on: one table of declared rows, a text form for switches, and what is switched on."""
