"""This room holds the old ways to write a FastCGI program, under the names that old programs import."""
