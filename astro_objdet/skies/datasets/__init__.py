"""From fields and a catalogue to an archive: truth, windows, building, splitting, showing."""
