"""One file a client, each with the same five functions, driven as its documentation says.

`make(port, folder, *, compress)` a client that sends to the sink at that port of this machine and
may keep files in `folder`; `recorder(client)` a function of an event's name and dimensions;
`flush(client, seconds)` and `close(client, seconds)` wait for delivery, at most `seconds` where the
client lets one say so; `end(client)` what its documentation asks of a program that is about to end,
nothing where the client sees to that by itself.
"""
