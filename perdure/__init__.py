"""The installable face of Perdure: the command line and, later, the public extension interface."""
