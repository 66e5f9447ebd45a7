"""F1: bytes to records and back. No state, no clock, no I/O."""
