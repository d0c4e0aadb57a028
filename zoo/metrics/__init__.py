"""One file per family of metrics: what each is, in which unit, by whom, and how it is measured."""
