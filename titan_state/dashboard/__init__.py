"""The dashboard: a web page on this machine that shows what a monitor knows, live."""
