"""The benchmark: penstock and its peers behind one real nginx, side by side. Run with ``python -m bench``."""
