"""Callbacks: what a host may listen to."""
