"""Benchmarks of browserd, each row beside its baseline from the same run.

Measured and baseline take turns in random order, so that what the machine does meanwhile hits
both. Clients are raw sockets: what a library would add is not browserd's to answer for.
"""
