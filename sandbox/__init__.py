"""The peers as simulators on real sockets: try the whole system before you have an account."""
