"""One file per view of the explorer, named like it: the parameters of its questions, and how they are answered."""
