"""What the tasks achieve, and how fast: a module for each part, ``tables`` for the page that shows them."""
