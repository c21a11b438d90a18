"""The watch: judges silence. Signals in, one verdict a host out."""
