"""The run folder: what training writes, what is loaded, and what the Hub holds."""
