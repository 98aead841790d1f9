"""What one open library holds: resources, consistent reads, calibration and locks, as one `LibraryContext`."""
