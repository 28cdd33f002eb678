"""How good, and how consistent."""
