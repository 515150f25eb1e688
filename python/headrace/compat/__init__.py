"""The names of other libraries, on Headrace."""

__all__: list[str] = []
