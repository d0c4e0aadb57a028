"""One file per objective, named like it: what is minimised, as named terms in nats per image."""
