"""Statistics: from samples of tracks to stats records."""
