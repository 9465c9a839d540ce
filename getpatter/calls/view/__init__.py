"""Views of a diagnostics file: list, waterfall, timeline, page."""
