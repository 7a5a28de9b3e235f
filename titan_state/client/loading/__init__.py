"""Loading: outputs as files, rows, datasets and media. Its door is `client/outputs.py`."""
