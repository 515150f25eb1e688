"""The names of other libraries, on Headrace."""
