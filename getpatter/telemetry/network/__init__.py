"""HTTP over sockets of our own: what leaves is the bytes written here."""
