"""What is on a piece of sky: haloes, their galaxies, the field and the stars."""
