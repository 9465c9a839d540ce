"""A simulated population of installs: events of the real client code, and the truth about them.

Everything is drawn from one seed. `world` has the probabilities, `population` draws installs,
`story` what a run of theirs does, `client` turns that into events, `delivery` into batches, `truth`
counts what happened before anything was sampled or lost.
"""
