"""What one open library holds: catalog, spaces, lists, calibration, decode workers, locks."""
