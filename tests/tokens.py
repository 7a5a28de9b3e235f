"""The token of tests that look whether it is shown anywhere."""

TOKEN = "secret-0123456789-never-shown"
