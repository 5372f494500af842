"""Servers that tests start themselves, on loopback and in temporary folders, and stop again.

`started` is what they have in common; there is one module a kind of server. A test module asks
for a URL; the server behind it is started at the first, once a process, and is ended with it.
"""
