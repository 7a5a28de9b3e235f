"""The client of the Titan Task Service, over aiohttp."""
