"""The parts of the simulated WeCom server; ``sandbox/peers/wecom.py`` puts them together."""
