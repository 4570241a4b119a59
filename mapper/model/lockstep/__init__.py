"""Lockstep skipping: cycles of units that take non-zeros in quanta and wait for each other."""
