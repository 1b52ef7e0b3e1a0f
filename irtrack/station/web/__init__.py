"""Pages, REST and WebSocket of a station."""
