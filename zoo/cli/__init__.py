"""The command line, ``zoo VERB``: one module a verb, loaded when the verb is called."""
