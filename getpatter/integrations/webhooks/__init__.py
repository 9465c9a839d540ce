"""Webhooks of others: what of a signed request is the same for all of them."""
