"""What operators see: pages that a server renders, with answers as tables and drawings.

Nothing is decided here but what is shown: each figure is an answer's.
"""

from getpatter.collector.pages.listener import Pages, problem
from getpatter.collector.pages.report import report
from getpatter.collector.pages.site import Site

__all__ = ["Pages", "Site", "problem", "report"]
