"""The live page: one look at everything twice a second, shown to however many watch."""
