"""F2: a request to your callable and back. Knows no socket and no connection."""
