"""Coming from and going to other programs: one module per format, the rest is what they share."""
