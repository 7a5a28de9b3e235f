"""The asyncio runtime that users hold: Monitor, Handlers, and what they are made of."""
