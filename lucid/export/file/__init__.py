"""Model files: written atomically, and checked when read."""
