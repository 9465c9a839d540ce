"""Pipecat: `observe(worker, phone)` makes a call of what a `PipelineWorker` does.

Importing this loads nothing of Pipecat; `observe` does.
"""

from getpatter.integrations.pipecat.observe import observe

__all__ = ["observe"]
