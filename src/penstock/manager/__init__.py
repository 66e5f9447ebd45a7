"""This package runs many workers: what is wanted is a plan, what to do is pure policy, and one loop obeys both."""
