"""Tracking: what observations mean, and what is known of executions. Its door is `core/tracker.py`."""
