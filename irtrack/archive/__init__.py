"""Many recordings at once, on Dask: `irtrack archive`. Results are files, each put in its place whole."""
