"""Each module here is one peer: a program that starts its own servers and measures itself when told to."""
