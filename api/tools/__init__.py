"""Tools from outside: which there are, and calling one."""
