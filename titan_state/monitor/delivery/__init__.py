"""Delivery: handlers are called, in order for each execution. What users register is in `monitor/handlers.py`."""
