"""The contract: what every part of Heimdall agrees on. Standard library only, Python 3.9 or newer."""
