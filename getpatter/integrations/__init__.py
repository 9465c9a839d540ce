"""Where getpatter meets other people's frameworks: one file or folder each, none loads another.

But for `webhooks`, which is what those that take requests have in common.
"""
