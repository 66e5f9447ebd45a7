"""This file holds what all of flup's servers share: the mark for an argument that was not given."""

from __future__ import annotations


class NoDefault:
    """Stands for an argument that was not given; used as the class itself."""
