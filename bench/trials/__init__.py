"""The trials: penstock and its peers reloaded, killed and stopped under load. Run with ``python -m bench.trials``."""
