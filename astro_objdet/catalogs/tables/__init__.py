"""Tables from and to files, in the formats that catalogues come in."""
