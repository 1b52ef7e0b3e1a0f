"""What a station keeps of its cameras: events in a database that many programs may read."""
