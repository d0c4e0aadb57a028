"""The zoo's entries, and how a name, a folder or an address on the Hub becomes a trained model.

Listing them needs the standard library only.
"""
