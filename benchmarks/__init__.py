"""How fast lucid trains and runs, and against what."""
