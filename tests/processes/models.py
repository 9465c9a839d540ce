"""The process models of the documents' table, in its order, and how events leave in each."""

MODELS = {
    "one process": "a thread sends; the program's end delivers the rest",
    "`os.fork`": "what was recorded before is sent once, by the parent; the child begins empty",
    "`os.fork` while the thread imports": "the fork waits until no module is half loaded",
    "`multiprocessing`, fork": "the child's end delivers, though Python's exit hooks do not run",
    "`multiprocessing`, forkserver": "the same",
    "`multiprocessing`, spawn": "each child is a start of its own, with a run ID of its own",
    "`ProcessPoolExecutor`": "as its start method, here fork",
    "gunicorn": "each worker is a start of its own",
    "gunicorn `--preload`": "one start; each worker sends its own",
    "gunicorn `--worker-class gevent`": "as gunicorn; the thread is a greenlet",
    "uvicorn `--workers`": "each worker is a start of its own; with `telemetry_lifespan`",
    "Celery, prefork": "one start; each child sends its own",
    "gevent, patched": "the thread is a greenlet",
    "subinterpreters, isolated": "no thread may run there: `flush` and the end deliver",
    "subinterpreters, sharing": "as with mod_wsgi: each is a start of its own",
    "frozen and thawed, as on Lambda": "`flush_after` delivers before the freeze",
}
