"""What Tuhui tells us: that there is news of a task."""
