"""The pure part: the formal model, the tracker, the planning of requests. No I/O, no asyncio, no clock, no logging."""
