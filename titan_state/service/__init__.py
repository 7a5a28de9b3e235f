"""The headless service: accounts that are tended for weeks, probes for whoever supervises it, and logs for machines."""
