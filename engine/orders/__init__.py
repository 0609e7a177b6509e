"""Orders for work on pictures: the desk that changes them and tells everyone concerned."""
