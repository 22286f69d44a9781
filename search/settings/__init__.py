"""The search file: its schema, its text, its units."""
