"""The way of a batch: from a record to the collector's answer."""
