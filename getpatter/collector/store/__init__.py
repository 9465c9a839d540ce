"""The store behind two verbs: `append(batches)` and `query(sql, parameters)`."""

from getpatter.collector.store.database import StoreError
from getpatter.collector.store.store import Rows, Store

__all__ = ["Rows", "Store", "StoreError"]
