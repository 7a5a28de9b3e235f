"""Planning: which request is worth sending next. Its door is `core/planner.py`."""
