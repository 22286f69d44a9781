"""What Thaw costs, measured: ``speed``, ``limits`` and ``scale``, one command each (``python -m benchmarks.speed``)."""
