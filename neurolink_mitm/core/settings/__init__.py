"""The configuration as typed values with defaults. How a file becomes these values is in the room `config/`."""
