"""What everything stands on: names of parts, settings, paths, the version."""
