"""Journals: where events are written down before anybody is told of them, and where what is known survives."""
