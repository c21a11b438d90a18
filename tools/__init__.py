"""What is needed to build and check the checkout; not part of what is installed."""
