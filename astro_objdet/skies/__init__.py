"""Where labelled images come from: rendered skies, surveys and archives."""
