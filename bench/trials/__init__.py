"""The trials: penstock and its peers are reloaded, killed and stopped under load. Run with ``python -m bench.trials``."""
