"""Benchmarks: Threadloom beside LangGraph's own savers, on the same work in the same run.

`python -m benchmarks --help` says how; `scenario.py` how to add a scenario, `savers.py` how to
add a saver.
"""
