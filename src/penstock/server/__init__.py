"""F3: the only floor where bytes meet applications."""
