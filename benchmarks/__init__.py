"""What `make bench` times: outside the library that it measures."""
