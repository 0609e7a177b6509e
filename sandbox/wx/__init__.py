"""What the simulated WeCom and WeChat share."""
