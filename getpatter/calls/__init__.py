"""Call diagnostics: the full story of calls, for the developer who runs them, on their machine."""
