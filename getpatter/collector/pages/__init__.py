"""What operators see: pages that a server renders, with answers as tables and drawings.

Nothing is decided here but what is shown: each figure is an answer's.
"""

from getpatter.collector.pages.listener import Pages, problem

__all__ = ["Pages", "problem"]
