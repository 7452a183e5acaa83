"""Configuration, landing, the nightly job, publishing and the command line."""
