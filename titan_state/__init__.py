"""Watch the executions of the Titan platform: a formal lifecycle, callbacks, anomalies, safe control actions."""
