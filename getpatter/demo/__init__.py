"""What `make demo` and `getpatter demo` run: real programs, and a real voice call on this machine.

Needs the extra `demo` (`pip install 'getpatter[demo]'`); the library itself never imports it.
"""
