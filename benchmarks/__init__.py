"""Benchmarks of Thaw's cost: ``speed``, ``limits`` and ``scale``, one command each (``python -m benchmarks.speed``)."""
