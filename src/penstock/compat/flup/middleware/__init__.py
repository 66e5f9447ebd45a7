"""This room holds the middleware that flup had up to 0.5 and that programs still import."""
