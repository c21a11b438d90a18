"""The benchmark: what Heimdall reaches beside what the same machine allows, measured in one run (`make bench`)."""
