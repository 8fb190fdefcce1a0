"""How an archive lies in its HDF5 file, is opened, checked, written and mended."""
